//! A probability for each class.

use serde::{Deserialize, Serialize};

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
    /// A reason in words.
    pub fn new(values: Vec<f64>) -> Result<Self, String> {
        let unchecked = Self(values);
        unchecked.check().map(|()| unchecked)
    }

    /// What a frame brought, not yet to be believed.
    pub(super) fn unchecked(values: Vec<f64>) -> Self {
        Self(values)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let values = &self.0;
        if values.is_empty() || values.len() > CLASSES_MAX {
            return Err(format!(
                "record has {} probabilities, expected one for each of 1 to {CLASSES_MAX} classes",
                values.len()
            ));
        }
        if let Some(at) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(format!(
                "probability {at} is {}, expected a number from 0 to 1",
                values[at]
            ));
        }
        let sum: f64 = values.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(format!("probabilities sum up to {sum}, expected 1"));
        }
        Ok(())
    }

    /// One a class.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}
