//! From a form to the estimator that computes it.
//!
//! Each estimator checks its own form in its constructor. The estimators inside an estimator are built here and passed to it, so
//! that the recursion stays in this file and no estimator needs to know how another is made.

use super::calibrated::{Calibrated, Calibrator, Isotonic, OneVsRest};
use super::compose::{Pipeline, TransformedTarget};
use super::constant::Constant;
use super::ensemble::{AdaBoost, Average, Member, Stacking, WeightedMedian, stacked_width};
use super::estimator::{Estimator, require_outputs};
use super::forest::{Boosting, Forest, Init, IsolationForest};
use super::kernel::{KernelClassifier, KernelRegressor};
use super::linear::{LinearClassifier, LinearRegressor};
use super::neighbors::Neighbors;
use super::network::Network;
use super::quadratic::Quadratic;
use crate::error::ModelError;
use crate::form::{self, Form};
use crate::tensors::Tensors;
use crate::transformers::{self, Transformer};

/// Builds and validates an estimator for rows of `width` columns.
pub(crate) fn build(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Box<dyn Estimator>, ModelError> {
    // No wildcard arm, so that a new form does not compile before it has one.
    let estimator: Box<dyn Estimator> = match form {
        Form::Linear(form) => Box::new(LinearRegressor::new(form, tensors)?),
        Form::LinearClassifier(form) => Box::new(LinearClassifier::new(form, tensors)?),
        Form::Constant(form) => Box::new(Constant::new(form, tensors, width)?),
        Form::Network(form) => Box::new(Network::new(form, tensors)?),
        Form::KernelRegressor(form) => Box::new(KernelRegressor::new(form, tensors)?),
        Form::KernelClassifier(form) => Box::new(KernelClassifier::new(form, tensors)?),
        Form::Neighbors(form) => Box::new(Neighbors::new(form, tensors)?),
        Form::Quadratic(form) => Box::new(Quadratic::new(form, tensors)?),
        Form::Isotonic(form) => Box::new(Isotonic::new(form, tensors)?),
        Form::Forest(form) => Box::new(Forest::new(form, tensors, width)?),
        Form::Boosting(form) => Box::new(boosting(form, tensors, width)?),
        Form::IsolationForest(form) => Box::new(IsolationForest::new(form, tensors, width)?),
        Form::Average(form) => Box::new(average(form, tensors, width)?),
        Form::Stacking(form) => Box::new(stacking(form, tensors, width)?),
        Form::WeightedMedian(form) => Box::new(weighted_median(form, tensors, width)?),
        Form::AdaBoost(form) => Box::new(ada_boost(form, tensors, width)?),
        Form::Calibrated(form) => Box::new(calibrated(form, tensors, width)?),
        Form::OneVsRest(form) => Box::new(one_vs_rest(form, tensors, width)?),
        Form::Pipeline(form) => Box::new(pipeline(form, tensors, width)?),
        Form::TransformedTarget(form) => Box::new(transformed_target(form, tensors, width)?),
    };
    let wanted = estimator.n_features();
    if wanted != width {
        return Err(ModelError::store(format!(
            "a part of the model wants {wanted} features where there are {width}"
        )));
    }
    Ok(estimator)
}

/// Estimators over the same columns; at least one.
fn build_all(
    forms: &[Form],
    tensors: &Tensors,
    width: usize,
) -> Result<Vec<Box<dyn Estimator>>, ModelError> {
    if forms.is_empty() {
        return Err(ModelError::store("an ensemble has no members"));
    }
    forms
        .iter()
        .map(|form| build(form, tensors, width))
        .collect()
}

fn boosting(
    form: &form::Boosting,
    tensors: &Tensors,
    width: usize,
) -> Result<Boosting, ModelError> {
    let outputs = Boosting::outputs_of(form)?;
    let init = match &form.init {
        form::Init::Constant(key) => Init::Constant(tensors.vector(key, outputs)?.to_vec()),
        form::Init::Regressor(form) => Init::regressor(build(form, tensors, width)?, outputs)?,
        form::Init::Classifier { form, clip, link } => Init::classifier(
            build(form, tensors, width)?,
            tensors.vector(clip, 1)?[0],
            *link,
            outputs,
        )?,
    };
    Boosting::new(form, init, outputs, tensors, width)
}

fn average(form: &form::Average, tensors: &Tensors, width: usize) -> Result<Average, ModelError> {
    let mut members = Vec::with_capacity(form.members.len());
    for member in &form.members {
        let columns = member.columns.as_deref();
        if columns.is_some_and(|columns| columns.iter().any(|column| *column >= width)) {
            return Err(ModelError::store(
                "a member sees a column that is not there",
            ));
        }
        let estimator = build(&member.form, tensors, columns.map_or(width, <[_]>::len))?;
        members.push(Member::new(columns, estimator, form.classes.as_ref())?);
    }
    Average::new(form, members, tensors, width)
}

fn stacking(
    form: &form::Stacking,
    tensors: &Tensors,
    width: usize,
) -> Result<Stacking, ModelError> {
    require_outputs(form.members.len(), form.methods.len())?;
    let members: Vec<_> = build_all(&form.members, tensors, width)?
        .into_iter()
        .zip(form.methods.iter().copied())
        .collect();
    let answers: usize = members
        .iter()
        .map(|(member, method)| stacked_width(member.as_ref(), *method))
        .sum();
    let inputs = if form.passthrough {
        answers.saturating_add(width)
    } else {
        answers
    };
    let final_estimator = build(&form.final_estimator, tensors, inputs)?;
    Stacking::new(form, members, final_estimator, width)
}

fn weighted_median(
    form: &form::WeightedMedian,
    tensors: &Tensors,
    width: usize,
) -> Result<WeightedMedian, ModelError> {
    let members = build_all(&form.members, tensors, width)?;
    let weights = tensors.vector(&form.weights, members.len())?.to_vec();
    Ok(WeightedMedian {
        width,
        members,
        weights,
    })
}

fn ada_boost(
    form: &form::AdaBoost,
    tensors: &Tensors,
    width: usize,
) -> Result<AdaBoost, ModelError> {
    let members = build_all(&form.members, tensors, width)?;
    AdaBoost::new(form, members, tensors, width)
}

fn calibrated(
    form: &form::Calibrated,
    tensors: &Tensors,
    width: usize,
) -> Result<Calibrated, ModelError> {
    let mut members = Vec::with_capacity(form.members.len());
    for member in &form.members {
        let calibrators = member
            .calibrators
            .iter()
            .map(|form| Calibrator::new(form, tensors))
            .collect::<Result<Vec<_>, _>>()?;
        members.push((build(&member.form, tensors, width)?, calibrators));
    }
    Calibrated::new(members, form.classes.clone(), width)
}

fn one_vs_rest(
    form: &form::OneVsRest,
    tensors: &Tensors,
    width: usize,
) -> Result<OneVsRest, ModelError> {
    let members = build_all(&form.members, tensors, width)?;
    OneVsRest::new(members, form.classes.clone(), width)
}

fn pipeline(
    form: &form::Pipeline,
    tensors: &Tensors,
    width: usize,
) -> Result<Pipeline, ModelError> {
    let steps = transformers::build_chain(&form.steps, tensors, width)?;
    let final_estimator = build(&form.final_estimator, tensors, steps.outputs())?;
    Ok(Pipeline {
        width,
        steps,
        final_estimator,
    })
}

fn transformed_target(
    form: &form::TransformedTarget,
    tensors: &Tensors,
    width: usize,
) -> Result<TransformedTarget, ModelError> {
    let transformer = transformers::build(&form.transformer, tensors, 1)?;
    TransformedTarget::new(build(&form.regressor, tensors, width)?, transformer)
}
