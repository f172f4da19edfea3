//! Linear models: a coefficient a feature, an intercept, sometimes a link.

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
        return Err(fitted.several_targets());
    }
    let coef = extraction.put(fitted, "coef_", vec![1, columns], Data::F64(values));
    Ok(Form::Linear(form::Linear {
        coef,
        intercept: intercept(extraction, fitted, 1)?,
        link,
    }))
}

/// Generalised linear models before 1.1 chose their link by name, after it by power.
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

/// `intercept_` as a vector of `len`: a Python 0.0 when the model was fitted without one.
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
            "`intercept_` has {} values where {len} belong",
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

/// Ridge keeps its classes in a label binarizer.
pub(super) fn ridge_classifier(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.binarizer_labels(extraction, "_label_binarizer")?;
    with_classes(extraction, fitted, classes, Proba::None)
}

/// One-vs-rest or multinomial depends on two parameters and the version.
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

/// Only two of SGD's losses have probabilities.
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

/// Two classes by a sigmoid, more by a softmax.
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
