//! Estimators made of other estimators: voting, bagging, stacking, `AdaBoost`, calibration, one-vs-rest.

use super::dispatch::read_estimator;
use super::fitted::{Extraction, Fitted, Version};
use crate::error::ModelError;
use crate::form::{
    self, Averaging, CalibratedMember, Calibrator, Form, Isotonic, Member, OutOfBounds, StackMethod,
};
use crate::numeric::to_usize;
use crate::pickle::numpy;
use crate::tensors::Key;

fn forms(extraction: &mut Extraction, members: &[Fitted<'_>]) -> Result<Vec<Form>, ModelError> {
    members
        .iter()
        .map(|member| read_estimator(extraction, member))
        .collect()
}

fn of_all_columns(form: Form) -> Member {
    Member {
        columns: None,
        form,
    }
}

/// `VotingRegressor` and `VotingClassifier`.
pub(super) fn voting(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    let classes = fitted.classes(extraction)?;
    let averaging = match (classes.is_some(), fitted.optional_text("voting").as_deref()) {
        (false, _) => Averaging::Mean,
        (true, Some("soft")) => Averaging::Proba,
        (true, _) => Averaging::Vote,
    };
    let members = forms(extraction, &fitted.children("estimators_")?)?;
    let weights = weights(extraction, fitted)?;
    Ok(Form::Average(form::Average {
        members: members.into_iter().map(of_all_columns).collect(),
        weights,
        averaging,
        classes,
    }))
}

/// Weights of the estimators that were not dropped.
fn weights(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Option<Key>, ModelError> {
    if fitted.get("weights").is_none() {
        return Ok(None);
    }
    let all = fitted.vector(extraction, "weights")?;
    let mut kept = vec![];
    for (weight, pair) in all.into_iter().zip(fitted.list("estimators")?) {
        let step = fitted.graph.items(pair).and_then(|pair| pair.get(1));
        if step.is_some_and(|step| fitted.graph.text(*step) != Some("drop")) {
            kept.push(weight);
        }
    }
    Ok(Some(extraction.put_vector(fitted, "weights", kept)))
}

/// `BaggingRegressor` and `BaggingClassifier`.
pub(super) fn bagging(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.classes(extraction)?;
    let averaging = if classes.is_some() {
        Averaging::Proba
    } else {
        Averaging::Mean
    };
    let (parts, features) = (
        fitted.children("estimators_")?,
        fitted.list("estimators_features_")?,
    );
    if parts.len() != features.len() {
        return Err(fitted.fail("`estimators_` and `estimators_features_` do not fit"));
    }
    let mut members = vec![];
    for (part, features) in parts.iter().zip(features) {
        let columns = fitted
            .numbers_at(extraction, features, "estimators_features_")?
            .1;
        let columns = columns.into_iter().map(to_usize).collect::<Option<_>>();
        let columns =
            Some(columns.ok_or_else(|| fitted.fail("`estimators_features_` are not columns"))?);
        members.push(Member {
            columns,
            form: read_estimator(extraction, part)?,
        });
    }
    Ok(Form::Average(form::Average {
        members,
        weights: None,
        averaging,
        classes,
    }))
}

/// `StackingRegressor` and `StackingClassifier`.
pub(super) fn stacking(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.classes(extraction)?;
    let members = forms(extraction, &fitted.children("estimators_")?)?;
    let mut methods = vec![];
    for id in fitted.list("stack_method_")? {
        methods.push(match numpy::text(fitted.graph, id).as_deref() {
            Some("predict") => StackMethod::Predict,
            Some("predict_proba") => StackMethod::PredictProba,
            Some("decision_function") => StackMethod::DecisionFunction,
            _ => return Err(fitted.fail("`stack_method_` is not known")),
        });
    }
    let last = Box::new(read_estimator(
        extraction,
        &fitted.attribute("final_estimator_")?,
    )?);
    Ok(Form::Stacking(form::Stacking {
        members,
        methods,
        passthrough: fitted.bool_or("passthrough", false),
        final_estimator: last,
        classes,
    }))
}

/// The weights of the boosted estimators, which are fewer than in the array when boosting stopped early.
fn boost_weights(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    members: usize,
) -> Result<Key, ModelError> {
    let mut weights = fitted.vector(extraction, "estimator_weights_")?;
    weights.truncate(members);
    Ok(extraction.put_vector(fitted, "estimator_weights_", weights))
}

/// `AdaBoostRegressor`.
pub(super) fn median(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    let members = forms(extraction, &fitted.children("estimators_")?)?;
    let weights = boost_weights(extraction, fitted, members.len())?;
    Ok(Form::WeightedMedian(form::WeightedMedian {
        members,
        weights,
    }))
}

/// `AdaBoostClassifier`.
pub(super) fn ada_boost(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let members = forms(extraction, &fitted.children("estimators_")?)?;
    let weights = boost_weights(extraction, fitted, members.len())?;
    // SAMME.R was removed in 1.6, and the parameter in 1.8.
    let samme_r = fitted.version < Version(1, 6)
        && fitted.optional_text("algorithm").as_deref() != Some("SAMME");
    let negative_votes = fitted.version >= Version(1, 3);
    Ok(Form::AdaBoost(form::AdaBoost {
        members,
        weights,
        samme_r,
        negative_votes,
        classes: fitted.labels(extraction, "classes_")?,
    }))
}

/// `CalibratedClassifierCV`.
pub(super) fn calibrated(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let mut members = vec![];
    for part in fitted.children("calibrated_classifiers_")? {
        if part.optional_text("method").as_deref() == Some("temperature") {
            return Err(
                part.unsupported("temperature scaling is not read; use 'sigmoid' or 'isotonic'")
            );
        }
        let inner = if part.get("estimator").is_some() {
            part.attribute("estimator")?
        } else {
            part.attribute("base_estimator")?
        };
        let list = if part.get("calibrators").is_some() {
            "calibrators"
        } else {
            "calibrators_"
        };
        let calibrators = part
            .children(list)?
            .iter()
            .map(|calibrator| read_calibrator(extraction, calibrator))
            .collect::<Result<_, _>>()?;
        members.push(CalibratedMember {
            form: read_estimator(extraction, &inner)?,
            calibrators,
        });
    }
    Ok(Form::Calibrated(form::Calibrated {
        members,
        classes: fitted.labels(extraction, "classes_")?,
    }))
}

fn read_calibrator(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Calibrator, ModelError> {
    if fitted.class.name == "_SigmoidCalibration" {
        let ab = vec![fitted.f64("a_")?, fitted.f64("b_")?];
        return Ok(Calibrator::Sigmoid {
            ab: extraction.put_vector(fitted, "ab", ab),
        });
    }
    isotonic(extraction, fitted).map(Calibrator::Isotonic)
}

/// `IsotonicRegression`.
pub(super) fn isotonic(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Isotonic, ModelError> {
    let out_of_bounds = match fitted.text("out_of_bounds")?.as_str() {
        "clip" => OutOfBounds::Clip,
        "nan" => OutOfBounds::Nan,
        _ => OutOfBounds::Raise,
    };
    Ok(Isotonic {
        x: fitted.put_vector(extraction, "X_thresholds_")?,
        y: fitted.put_vector(extraction, "y_thresholds_")?,
        out_of_bounds,
    })
}

/// `OneVsRestClassifier`.
pub(super) fn one_vs_rest(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.binarizer_labels(extraction, "label_binarizer_")?;
    let members = forms(extraction, &fitted.children("estimators_")?)?;
    Ok(Form::OneVsRest(form::OneVsRest { members, classes }))
}
