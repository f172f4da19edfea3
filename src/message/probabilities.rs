//! A probability for each class.

use serde::{Deserialize, Serialize};

use super::ProbabilitiesError;
use crate::task::CLASSES_MAX;

/// How far from 1 a sum may be: clients that count in 32 bits round.
const SUM_TOLERANCE: f64 = 1e-3;

/// Probabilities in the order of the model's classes: each from 0 to 1, together 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probabilities(Vec<f64>);

impl Probabilities {
    /// Checks them.
    ///
    /// # Errors
    /// When they are not one for each class, each from 0 to 1, together 1.
    pub fn new(values: Vec<f64>) -> Result<Self, ProbabilitiesError> {
        let unchecked = Self(values);
        unchecked.check().map(|()| unchecked)
    }

    /// What a frame brought, not yet to be believed.
    pub(super) fn unchecked(values: Vec<f64>) -> Self {
        Self(values)
    }

    pub(super) fn check(&self) -> Result<(), ProbabilitiesError> {
        let values = &self.0;
        if values.is_empty() || values.len() > CLASSES_MAX {
            return Err(ProbabilitiesError::Count {
                count: values.len(),
            });
        }
        if let Some(index) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(ProbabilitiesError::OutOfRange {
                index,
                value: values[index],
            });
        }
        let sum: f64 = values.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(ProbabilitiesError::Sum { sum });
        }
        Ok(())
    }

    /// One a class.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}
