//! The same answer for every row.

use super::estimator::Estimator;
use super::proba::argmax;
use crate::error::ModelError;
use crate::labels::Labels;
use crate::rows::Rows;

/// `DummyRegressor` and `DummyClassifier`.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) width: usize,
    /// The target, or a probability a class.
    pub(super) values: Vec<f64>,
    pub(super) classes: Option<Labels>,
}

impl Estimator for Constant {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let value = match &self.classes {
            Some(classes) => classes.value(argmax(&self.values)),
            None => self.values[0],
        };
        Ok(vec![value; rows.n_rows()])
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(Rows::new(
            self.values.len(),
            self.values.repeat(rows.n_rows()),
        ))
    }
}
