//! From a form to the estimator that computes it.

use super::super::form::Form;
use super::super::tensors::{Key, Tensors};
use super::super::{Estimator, ModelError, transformers};
use super::compose::{Pipeline, TransformedTarget};
use super::dense::Dense;
use super::linear::{LinearClassifier, LinearRegressor};

/// Builds and validates an estimator for rows of `width` columns.
pub(in crate::model) fn build(form: &Form, tensors: &Tensors, width: usize) -> Result<Box<dyn Estimator>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Linear { coef, intercept, link } => {
            Box::new(LinearRegressor { dense: single(tensors, coef, intercept)?, link: *link })
        }
        Form::LinearClassifier { coef, intercept, classes, proba } => {
            Box::new(LinearClassifier::new(Dense::new(tensors, coef, intercept)?, classes.clone(), *proba)?)
        }
        Form::Pipeline { steps, last } => {
            let mut outputs = width;
            let mut built = Vec::with_capacity(steps.len());
            for step in steps {
                let step = transformers::build(step, tensors, outputs)?;
                outputs = step.outputs();
                built.push(step);
            }
            Box::new(Pipeline { width, steps: built, last: build(last, tensors, outputs)? })
        }
        Form::TransformedTarget { regressor, target } => {
            let target = transformers::build(target, tensors, 1)?;
            if target.outputs() != 1 || !target.is_invertible() {
                return Err(ModelError::store("the transformation of the target has no inverse"));
            }
            Box::new(TransformedTarget { regressor: build(regressor, tensors, width)?, target })
        }
    };
    if estimator.n_features() == width {
        return Ok(estimator);
    }
    Err(ModelError::store(format!("a part of the model wants {} features where there are {width}", estimator.n_features())))
}

/// A dense layer of one output.
fn single(tensors: &Tensors, coef: &Key, intercept: &Key) -> Result<Dense, ModelError> {
    let dense = Dense::new(tensors, coef, intercept)?;
    if dense.outputs() == 1 { Ok(dense) } else { Err(ModelError::store("a regressor has one target")) }
}
