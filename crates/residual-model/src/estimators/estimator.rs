//! What all estimators have in common.

use std::fmt::Debug;

use crate::error::ModelError;
use crate::info::Task;
use crate::labels::Labels;
use crate::rows::Rows;

/// Anything that predicts. Its rows are those that scikit-learn's `predict` would get.
pub(crate) trait Estimator: Send + Sync + Debug {
    /// Number of columns that it was fitted on.
    fn n_features(&self) -> usize;

    /// One number for each row: the value of the target, or the label (for labels of text its index).
    ///
    /// # Errors
    /// When the rows are of another width, or hold a value that it has no answer for.
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError>;

    /// The labels of a classifier.
    fn classes(&self) -> Option<&Labels> {
        None
    }

    /// A probability for each class of each row, where it has probabilities.
    fn predict_proba(&self, _rows: &Rows) -> Option<Result<Rows, ModelError>> {
        None
    }

    /// A score for each class of each row, or one score for two classes, where it has scores.
    fn decision_function(&self, _rows: &Rows) -> Option<Result<Rows, ModelError>> {
        None
    }

    /// What a prediction is.
    fn task(&self) -> Task {
        if self.classes().is_some() {
            Task::Classification
        } else {
            Task::Regression
        }
    }
}

/// Fails unless a part of an estimator has as many outputs as belong there, and at least one.
pub(super) fn require_outputs(found: usize, wanted: usize) -> Result<(), ModelError> {
    if found == wanted && wanted > 0 {
        return Ok(());
    }
    Err(ModelError::store(format!(
        "a part of the model has {found} outputs instead of {wanted}"
    )))
}
