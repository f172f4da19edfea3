//! Naive Bayes, quadratic discriminants and partial least squares.

use super::fitted::{Extraction, Fitted, Version};
use crate::error::ModelError;
use crate::form::{self, Form, Link, Proba, Step};
use crate::tensors::Data;

/// `GaussianNB`.
pub(super) fn gaussian(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let name = if fitted.get("var_").is_some() {
        "var_"
    } else {
        "sigma_"
    };
    let (rows, columns, variances) = fitted.matrix(extraction, name)?;
    let priors = fitted.vector(extraction, "class_prior_")?;
    if priors.len() != rows {
        return Err(fitted.fail("`class_prior_` does not fit the classes"));
    }
    let logs = variances.chunks_exact(columns.max(1)).map(|row| {
        row.iter()
            .map(|v| (std::f64::consts::TAU * v).ln())
            .sum::<f64>()
    });
    let offsets = priors
        .iter()
        .zip(logs)
        .map(|(prior, log)| prior.ln() - 0.5 * log)
        .collect();
    Ok(Form::Quadratic(form::Quadratic {
        means: fitted.put_matrix(extraction, "theta_")?,
        variances: Some(extraction.put(fitted, "var_", vec![rows, columns], Data::F64(variances))),
        projections: vec![],
        offsets: extraction.put_vector(fitted, "offsets", offsets),
        classes: fitted.labels(extraction, "classes_")?,
        has_decision_function: false,
    }))
}

/// `QuadraticDiscriminantAnalysis`.
pub(super) fn quadratic(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let (rotations, scalings) = (fitted.list("rotations_")?, fitted.list("scalings_")?);
    let priors = fitted.vector(extraction, "priors_")?;
    if rotations.len() != scalings.len() || priors.len() != rotations.len() {
        return Err(fitted.fail("`rotations_`, `scalings_` and `priors_` do not fit"));
    }
    let (mut projections, mut offsets) = (vec![], vec![]);
    for (index, (rotation, scaling)) in rotations.into_iter().zip(scalings).enumerate() {
        let name = format!("rotations_[{index}]");
        let (shape, rotation) = fitted.numbers_at(extraction, rotation, &name)?;
        let scaling = fitted.numbers_at(extraction, scaling, "scalings_")?.1;
        let &[width, rank] = shape.as_slice() else {
            return Err(fitted.fail(format!("`{name}` has shape {shape:?}")));
        };
        if scaling.len() != rank {
            return Err(fitted.fail("`scalings_` do not fit `rotations_`"));
        }
        let axis = |axis: usize| (0..width).map(move |feature| (feature, axis));
        let values = (0..rank)
            .flat_map(axis)
            .map(|(feature, axis)| rotation[feature * rank + axis] * scaling[axis].powf(-0.5))
            .collect();
        projections.push(extraction.put(fitted, &name, vec![rank, width], Data::F64(values)));
        offsets.push(priors[index].ln() - 0.5 * scaling.iter().map(|s| s.ln()).sum::<f64>());
    }
    Ok(Form::Quadratic(form::Quadratic {
        means: fitted.put_matrix(extraction, "means_")?,
        variances: None,
        projections,
        offsets: extraction.put_vector(fitted, "offsets", offsets),
        classes: fitted.labels(extraction, "classes_")?,
        has_decision_function: true,
    }))
}

/// `MultinomialNB`, `ComplementNB` and `BernoulliNB`: all are linear, the last in the binarized row.
pub(super) fn discrete(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.labels(extraction, "classes_")?;
    let (rows, columns, mut coef) = fitted.matrix(extraction, "feature_log_prob_")?;
    let mut intercept = fitted.vector(extraction, "class_log_prior_")?;
    if classes.len() != rows || intercept.len() != rows || rows < 2 {
        return Err(fitted.fail("`feature_log_prob_` does not fit the classes"));
    }
    let mut steps = vec![];
    match fitted.class.name.as_str() {
        "ComplementNB" => intercept.fill(0.0),
        "BernoulliNB" => {
            for (row, intercept) in coef.chunks_exact_mut(columns.max(1)).zip(&mut intercept) {
                let off: Vec<f64> = row.iter().map(|log| (1.0 - log.exp()).ln()).collect();
                *intercept += off.iter().sum::<f64>();
                row.iter_mut().zip(off).for_each(|(on, off)| *on -= off);
            }
            if fitted.get("binarize").is_some() {
                steps.push(Step::Binarize(form::Binarize {
                    threshold: fitted.f64("binarize")?,
                }));
            }
        }
        _ => {}
    }
    let coef = extraction.put(fitted, "coef", vec![rows, columns], Data::F64(coef));
    let intercept = extraction.put_vector(fitted, "intercept", intercept);
    let last = Form::LinearClassifier(form::LinearClassifier {
        coef,
        intercept,
        classes,
        proba: Proba::Softmax,
    });
    Ok(Form::Pipeline(form::Pipeline {
        steps,
        final_estimator: Box::new(last),
    }))
}

/// `PLSRegression`; what `coef_` is multiplied by depends on the version.
pub(super) fn partial_least_squares(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let name = if fitted.get("_coef_").is_some() {
        "_coef_"
    } else {
        "coef_"
    };
    let (rows, columns, coef) = fitted.matrix(extraction, name)?;
    let intercept = if fitted.version < Version(1, 1) {
        "_y_mean"
    } else {
        "intercept_"
    };
    let intercept = fitted.vector(extraction, intercept)?;
    let width = if fitted.version < Version(1, 1) {
        rows
    } else {
        columns
    };
    if coef.len() != width || intercept.len() != 1 {
        return Err(fitted.multi_output());
    }
    let scale = if fitted.version < Version(1, 5) {
        fitted.put_optional(extraction, "_x_std")?
    } else {
        None
    };
    let center = Some(fitted.put_vector(extraction, "_x_mean")?);
    let coef = extraction.put(fitted, "coef_", vec![1, width], Data::F64(coef));
    let intercept = extraction.put_vector(fitted, "intercept_", intercept);
    let last = Form::Linear(form::Linear {
        coef,
        intercept,
        link: Link::Identity,
    });
    Ok(Form::Pipeline(form::Pipeline {
        steps: vec![Step::Scale(form::Scale { center, scale })],
        final_estimator: Box::new(last),
    }))
}
