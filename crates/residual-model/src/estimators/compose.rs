//! Estimators with transformers before or after them: pipelines and transformed targets.

use super::estimator::Estimator;
use crate::error::ModelError;
use crate::info::Task;
use crate::labels::Labels;
use crate::rows::Rows;
use crate::transformers::{Chain, Transformer};

/// `Pipeline`: transformers, then an estimator.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) width: usize,
    pub(super) steps: Chain,
    pub(super) final_estimator: Box<dyn Estimator>,
}

impl Pipeline {
    fn ask(
        &self,
        rows: &Rows,
        ask: impl FnOnce(&Rows) -> Option<Result<Rows, ModelError>>,
    ) -> Option<Result<Rows, ModelError>> {
        match self.steps.apply(rows) {
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
        self.final_estimator.predict(&self.steps.apply(rows)?)
    }

    fn classes(&self) -> Option<&Labels> {
        self.final_estimator.classes()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.ask(rows, |rows| self.final_estimator.predict_proba(rows))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.ask(rows, |rows| self.final_estimator.decision_function(rows))
    }

    fn task(&self) -> Task {
        self.final_estimator.task()
    }
}

/// `TransformedTargetRegressor`.
#[derive(Debug)]
pub(super) struct TransformedTarget {
    regressor: Box<dyn Estimator>,
    transformer: Box<dyn Transformer>,
}

impl TransformedTarget {
    pub(super) fn new(
        regressor: Box<dyn Estimator>,
        transformer: Box<dyn Transformer>,
    ) -> Result<Self, ModelError> {
        if transformer.outputs() != 1 || !transformer.is_invertible() {
            return Err(ModelError::store(
                "the transformation of the target has no inverse",
            ));
        }
        Ok(Self {
            regressor,
            transformer,
        })
    }
}

impl Estimator for TransformedTarget {
    fn n_features(&self) -> usize {
        self.regressor.n_features()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let predictions = Rows::new(1, self.regressor.predict(rows)?)?;
        Ok(self.transformer.invert(&predictions)?.into_values())
    }
}
