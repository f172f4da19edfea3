//! Networks, kernel machines and neighbours: models that are a few matrices.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Activation, Form, Kernel, Metric};
use crate::pickle::numpy;
use crate::tensors::{Data, Key};

/// `MLPRegressor` and `MLPClassifier`.
pub(super) fn network(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let activation = |name: &str| {
        Ok(match fitted.text(name)?.as_str() {
            "identity" => Activation::Identity,
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "logistic" => Activation::Logistic,
            "exp" => Activation::Exp,
            "softmax" => Activation::Softmax,
            other => return Err(fitted.unsupported(format!("activation '{other}' is not known"))),
        })
    };
    let (weights, biases) = (fitted.list("coefs_")?, fitted.list("intercepts_")?);
    if weights.len() != biases.len() || weights.is_empty() {
        return Err(fitted.fail("`coefs_` and `intercepts_` do not fit"));
    }
    let mut layers = vec![];
    for (index, (weight, bias)) in weights.into_iter().zip(biases).enumerate() {
        let (name, bias_name) = (format!("coefs_[{index}]"), format!("intercepts_[{index}]"));
        let (shape, values) = fitted.numbers_at(extraction, weight, &name)?;
        let &[inputs, outputs] = shape.as_slice() else {
            return Err(fitted.fail(format!("`{name}` has shape {shape:?}, not two axes")));
        };
        let bias = fitted.numbers_at(extraction, bias, &bias_name)?.1;
        let weight = extraction.put(
            fitted,
            &name,
            vec![outputs, inputs],
            Data::F64(transpose(&values, inputs, outputs)),
        );
        layers.push((weight, extraction.put_vector(fitted, &bias_name, bias)));
    }
    let classes = if fitted.class.name == "MLPClassifier" {
        let binarizer = fitted.attribute("_label_binarizer")?;
        if binarizer
            .optional_text("y_type_")
            .is_some_and(|kind| kind.starts_with("multilabel"))
        {
            return Err(fitted.unsupported("it gives several labels a row"));
        }
        Some(binarizer.labels(extraction, "classes_")?)
    } else {
        if fitted.usize("n_outputs_")? != 1 {
            return Err(fitted.several_targets());
        }
        None
    };
    Ok(Form::Network(form::Network {
        layers,
        hidden: activation("activation")?,
        output: activation("out_activation_")?,
        classes,
    }))
}

fn transpose(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

fn finite(fitted: &Fitted<'_>, name: &str) -> Result<f64, ModelError> {
    let value = fitted.f64(name)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(fitted.fail(format!("attribute `{name}` is {value}")))
    }
}

/// The kernel by name, with `gamma` as the fit worked it out.
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
pub(super) fn kernel_regressor(
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

/// `SVC` and `NuSVC`, from the attributes libsvm itself uses: the public ones have flipped signs.
pub(super) fn kernel_classifier(
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
pub(super) fn kernel_ridge(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let (rows, columns, points) = fitted.matrix(extraction, "X_fit_")?;
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let gamma = if fitted.get("gamma").is_some() {
        finite(fitted, "gamma")?
    } else {
        1.0 / columns as f64
    };
    let (_, dual) = fitted.numbers(extraction, "dual_coef_")?;
    if dual.len() != rows {
        return Err(fitted.several_targets());
    }
    Ok(Form::KernelRegressor(form::KernelRegressor {
        support_vectors: extraction.put(fitted, "X_fit_", vec![rows, columns], Data::F64(points)),
        dual_coef: extraction.put(fitted, "dual_coef_", vec![1, rows], Data::F64(dual)),
        intercept: extraction.put_vector(fitted, "intercept", vec![0.0]),
        kernel: kernel(fitted, Some(gamma))?,
        detects_outliers: false,
    }))
}

/// `KNeighborsRegressor` and `KNeighborsClassifier`; the search tree in the pickle is not needed.
pub(super) fn neighbors(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let weights_by_distance = match fitted
        .get("weights")
        .and_then(|id| numpy::text(fitted.graph, id))
        .as_deref()
    {
        Some("uniform") | None
            if fitted.get("weights").is_none() || fitted.optional_text("weights").is_some() =>
        {
            false
        }
        Some("distance") => true,
        _ => return Err(fitted.unsupported("its weights are a Python function")),
    };
    let parameters = fitted.get("effective_metric_params_");
    let p = parameters
        .and_then(|id| fitted.graph.get(id, "p"))
        .and_then(|id| numpy::number(fitted.graph, id));
    if parameters
        .and_then(|id| fitted.graph.get(id, "w"))
        .is_some_and(|id| fitted.array_at(id, "w").is_ok())
    {
        return Err(fitted.unsupported("a weighted metric is not read"));
    }
    let metric = match fitted.optional_text("effective_metric_").as_deref() {
        Some("euclidean" | "l2") => Metric::Euclidean {},
        Some("manhattan" | "l1" | "cityblock") => Metric::Manhattan {},
        Some("chebyshev") => Metric::Chebyshev {},
        Some("minkowski") => Metric::Minkowski {
            p: p.filter(|p| p.is_finite() && *p > 0.0).unwrap_or(2.0),
        },
        other => {
            return Err(fitted.unsupported(format!(
                "metric {} is not read",
                other.unwrap_or("of Python code")
            )));
        }
    };
    let classes = if fitted.class.name.ends_with("Classifier") {
        Some(fitted.labels(extraction, "classes_")?)
    } else {
        None
    };
    let targets = fitted
        .vector(extraction, "_y")
        .map_err(|_| fitted.several_targets())?;
    Ok(Form::Neighbors(form::Neighbors {
        points: fitted.put_matrix(extraction, "_fit_X")?,
        targets: extraction.put_vector(fitted, "_y", targets),
        count: fitted.usize("n_neighbors")?,
        metric,
        weights_by_distance,
        classes,
    }))
}
