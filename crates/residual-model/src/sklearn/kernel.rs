//! Support vector machines and kernel ridge regression.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Form, Kernel};
use crate::tensors::{Data, Key};

fn finite(fitted: &Fitted<'_>, name: &str) -> Result<f64, ModelError> {
    let value = fitted.f64(name)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(fitted.fail(format!("attribute `{name}` is {value}")))
    }
}

/// The kernel by its name, with `gamma` as it was computed when fitting.
fn kernel(fitted: &Fitted<'_>, gamma: Option<f64>) -> Result<Kernel, ModelError> {
    let Some(name) = fitted.optional_text("kernel") else {
        return Err(fitted.unsupported("its kernel is a Python function"));
    };
    let gamma = || gamma.map_or_else(|| finite(fitted, "_gamma"), Ok);
    Ok(match name.as_str() {
        "linear" => Kernel::Linear {},
        "rbf" => Kernel::Rbf { gamma: gamma()? },
        "poly" | "polynomial" => Kernel::Poly {
            gamma: gamma()?,
            coef0: finite(fitted, "coef0")?,
            degree: finite(fitted, "degree")?,
        },
        "sigmoid" => Kernel::Sigmoid {
            gamma: gamma()?,
            coef0: finite(fitted, "coef0")?,
        },
        other => return Err(fitted.unsupported(format!("kernel '{other}' is not read"))),
    })
}

/// `SVR`, `NuSVR` and `OneClassSVM`.
pub(super) fn regressor(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let detects_outliers = fitted.class.name == "OneClassSVM";
    Ok(Form::KernelRegressor(form::KernelRegressor {
        support_vectors: fitted.put_matrix(extraction, "support_vectors_")?,
        dual_coef: fitted.put_matrix(extraction, "_dual_coef_")?,
        intercept: fitted.put_vector(extraction, "_intercept_")?,
        kernel: kernel(fitted, None)?,
        detects_outliers,
    }))
}

/// `SVC` and `NuSVC`, from the attributes that libsvm itself uses; the public ones may have the opposite sign.
pub(super) fn classifier(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let counts = fitted
        .array("_n_support")?
        .i64s()
        .map_err(|error| fitted.array_error("_n_support", error))?;
    let counts: Vec<u32> = counts
        .into_iter()
        .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        .collect();
    let platt: Option<(Key, Key)> = match (fitted.get("_probA"), fitted.get("_probB")) {
        (Some(a), Some(_)) if fitted.array_at(a, "_probA")?.len() > 0 => Some((
            fitted.put_vector(extraction, "_probA")?,
            fitted.put_vector(extraction, "_probB")?,
        )),
        _ => None,
    };
    Ok(Form::KernelClassifier(form::KernelClassifier {
        support_vectors: fitted.put_matrix(extraction, "support_vectors_")?,
        dual_coef: fitted.put_matrix(extraction, "_dual_coef_")?,
        intercept: fitted.put_vector(extraction, "_intercept_")?,
        n_support: extraction.put(fitted, "_n_support", vec![counts.len()], Data::U32(counts)),
        kernel: kernel(fitted, None)?,
        classes: fitted.labels(extraction, "classes_")?,
        break_ties: fitted.bool_or("break_ties", false),
        platt,
    }))
}

/// `KernelRidge`.
pub(super) fn ridge(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    let (rows, columns, points) = fitted.matrix(extraction, "X_fit_")?;
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let gamma = if fitted.get("gamma").is_some() {
        finite(fitted, "gamma")?
    } else {
        1.0 / columns as f64
    };
    let (_, dual) = fitted.numbers(extraction, "dual_coef_")?;
    if dual.len() != rows {
        return Err(fitted.multi_output());
    }
    Ok(Form::KernelRegressor(form::KernelRegressor {
        support_vectors: extraction.put(fitted, "X_fit_", vec![rows, columns], Data::F64(points)),
        dual_coef: extraction.put(fitted, "dual_coef_", vec![1, rows], Data::F64(dual)),
        intercept: extraction.put_vector(fitted, "intercept", vec![0.0]),
        kernel: kernel(fitted, Some(gamma))?,
        detects_outliers: false,
    }))
}
