//! Estimators behind steps: pipelines and transformed targets.

use super::estimator::Estimator;
use crate::error::ModelError;
use crate::info::Task;
use crate::labels::Labels;
use crate::rows::Rows;
use crate::transformers::Transformer;

/// Steps, then an estimator.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) width: usize,
    pub(super) steps: Vec<Box<dyn Transformer>>,
    pub(super) last: Box<dyn Estimator>,
}

impl Pipeline {
    fn transformed(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut steps = self.steps.iter();
        let Some(first) = steps.next() else {
            return Ok(rows.clone());
        };
        steps.try_fold(first.apply(rows)?, |rows, step| step.apply(&rows))
    }

    fn ask(
        &self,
        rows: &Rows,
        ask: impl FnOnce(&Rows) -> Option<Result<Rows, ModelError>>,
    ) -> Option<Result<Rows, ModelError>> {
        match self.transformed(rows) {
            Ok(rows) => ask(&rows),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Estimator for Pipeline {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        self.last.predict(&self.transformed(rows)?)
    }

    fn classes(&self) -> Option<&Labels> {
        self.last.classes()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.ask(rows, |rows| self.last.predict_proba(rows))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.ask(rows, |rows| self.last.decision_function(rows))
    }

    fn task(&self) -> Task {
        self.last.task()
    }
}

/// `TransformedTargetRegressor`.
#[derive(Debug)]
pub(super) struct TransformedTarget {
    pub(super) regressor: Box<dyn Estimator>,
    pub(super) target: Box<dyn Transformer>,
}

impl Estimator for TransformedTarget {
    fn n_features(&self) -> usize {
        self.regressor.n_features()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let predictions = Rows::new(1, self.regressor.predict(rows)?)?;
        Ok(self.target.invert(&predictions)?.into_values())
    }
}
