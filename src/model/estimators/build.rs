//! From a form to the estimator that computes it.

use super::super::form::Form;
use super::super::tensors::Tensors;
use super::super::{Estimator, ModelError};
use super::dense::Dense;
use super::linear::{LinearClassifier, LinearRegressor};

/// Builds and validates.
pub(in crate::model) fn build(
    form: &Form,
    tensors: &Tensors,
) -> Result<Box<dyn Estimator>, ModelError> {
    Ok(match form {
        Form::Linear {
            coef,
            intercept,
            link,
        } => {
            let dense = Dense::new(tensors, coef, intercept)?;
            if dense.outputs() != 1 {
                return Err(ModelError::store("a regressor has one target"));
            }
            Box::new(LinearRegressor { dense, link: *link })
        }
        Form::LinearClassifier {
            coef,
            intercept,
            classes,
            proba,
        } => Box::new(LinearClassifier::new(
            Dense::new(tensors, coef, intercept)?,
            classes.clone(),
            *proba,
        )?),
    })
}
