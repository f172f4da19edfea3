//! Linear models: a coefficient for each feature, an intercept, sometimes a link function.

use super::fitted::{Extraction, Fitted, Version};
use crate::error::ModelError;
use crate::form::{self, Form, Link, Proba};
use crate::labels::Labels;
use crate::tensors::{Data, Key};

/// `coef_` and `intercept_` of one target, as tensors `[1, n]` and `[1]`.
pub(super) fn regressor(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    link: Link,
) -> Result<Form, ModelError> {
    let (rows, columns, values) = fitted.matrix(extraction, "coef_")?;
    if rows != 1 {
        return Err(fitted.multi_output());
    }
    let coef = extraction.put(fitted, "coef_", vec![1, columns], Data::F64(values));
    Ok(Form::Linear(form::Linear {
        coef,
        intercept: intercept(extraction, fitted, 1)?,
        link,
    }))
}

/// `TweedieRegressor`, whose parameter `link` may leave the choice to `power`.
pub(super) fn tweedie(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let link = match fitted.text("link")?.as_str() {
        "auto" if fitted.f64("power")? <= 0.0 => Link::Identity,
        "identity" => Link::Identity,
        "log" | "auto" => Link::Exp,
        other => return Err(fitted.unsupported(format!("link '{other}' is not known"))),
    };
    regressor(extraction, fitted, link)
}

/// `intercept_` as a vector of `len`; it is a single 0.0 when the model was fitted without an intercept.
fn intercept(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    len: usize,
) -> Result<Key, ModelError> {
    let mut values = fitted.vector(extraction, "intercept_")?;
    if values.len() == 1 && len > 1 {
        values = vec![values[0]; len];
    }
    if values.len() != len {
        return Err(fitted.fail(format!(
            "`intercept_` has {} values instead of {len}",
            values.len()
        )));
    }
    Ok(extraction.put_vector(fitted, "intercept_", values))
}

/// A classifier with `classes_`.
pub(super) fn classifier(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    proba: Proba,
) -> Result<Form, ModelError> {
    let classes = fitted.labels(extraction, "classes_")?;
    with_classes(extraction, fitted, classes, proba)
}

fn with_classes(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    classes: Labels,
    proba: Proba,
) -> Result<Form, ModelError> {
    let (rows, columns, values) = fitted.matrix(extraction, "coef_")?;
    let coef = extraction.put(fitted, "coef_", vec![rows, columns], Data::F64(values));
    let intercept = intercept(extraction, fitted, rows)?;
    Ok(Form::LinearClassifier(form::LinearClassifier {
        coef,
        intercept,
        classes,
        proba,
    }))
}

/// `RidgeClassifier`, which keeps its classes in a label binarizer.
pub(super) fn ridge_classifier(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.binarizer_labels(extraction, "_label_binarizer")?;
    with_classes(extraction, fitted, classes, Proba::None)
}

/// `LogisticRegression`: whether it is one-vs-rest or multinomial depends on two parameters and the version.
pub(super) fn logistic(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.labels(extraction, "classes_")?;
    let solver = fitted.optional_text("solver").unwrap_or_default();
    let one_solver_each =
        solver == "liblinear" || (solver == "newton-cholesky" && fitted.version < Version(1, 6));
    let proba = match fitted.optional_text("multi_class").as_deref() {
        Some("ovr") => Proba::Sigmoid,
        Some("multinomial") => Proba::Softmax,
        Some("auto" | "deprecated" | "warn") if one_solver_each => Proba::Sigmoid,
        _ if classes.len() <= 2 => Proba::Sigmoid,
        _ => Proba::Softmax,
    };
    with_classes(extraction, fitted, classes, proba)
}

/// `SGDClassifier`, which has probabilities for two of its losses.
pub(super) fn sgd_classifier(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let proba = match fitted.text("loss")?.as_str() {
        "log" | "log_loss" => Proba::Sigmoid,
        "modified_huber" => Proba::ModifiedHuber,
        _ => Proba::None,
    };
    classifier(extraction, fitted, proba)
}

/// `LinearDiscriminantAnalysis`: a sigmoid for two classes, a softmax for more.
pub(super) fn discriminant(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.labels(extraction, "classes_")?;
    let proba = if classes.len() == 2 {
        Proba::Sigmoid
    } else {
        Proba::Softmax
    };
    with_classes(extraction, fitted, classes, proba)
}
