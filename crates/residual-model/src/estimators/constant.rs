//! Dummies, which give every row the same answer.

use super::estimator::{Estimator, require_outputs};
use crate::error::ModelError;
use crate::form;
use crate::labels::Labels;
use crate::numeric::argmax;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// `DummyRegressor` and `DummyClassifier`.
#[derive(Debug)]
pub(super) struct Constant {
    width: usize,
    /// The target, or a probability for each class.
    values: Vec<f64>,
    classes: Option<Labels>,
}

impl Constant {
    pub(super) fn new(
        form: &form::Constant,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let values = tensors.f64s(&form.values)?.to_vec();
        let classes = form.classes.clone();
        require_outputs(values.len(), classes.as_ref().map_or(1, Labels::len))?;
        Ok(Self {
            width,
            values,
            classes,
        })
    }
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
