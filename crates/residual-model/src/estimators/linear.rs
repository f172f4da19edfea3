//! Linear regressors and classifiers.

use super::estimator::Estimator;
use super::proba::{decide, probabilities};
use crate::dense::Dense;
use crate::error::ModelError;
use crate::form::{self, Link, Proba};
use crate::labels::Labels;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// Linear and generalized linear regression of one target.
#[derive(Debug)]
pub(super) struct LinearRegressor {
    dense: Dense,
    link: Link,
}

impl LinearRegressor {
    pub(super) fn new(form: &form::Linear, tensors: &Tensors) -> Result<Self, ModelError> {
        Ok(Self {
            dense: Dense::with_one_output(tensors, &form.coef, &form.intercept)?,
            link: form.link,
        })
    }
}

impl Estimator for LinearRegressor {
    fn n_features(&self) -> usize {
        self.dense.inputs()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        rows.require_finite()?;
        let mut values = self.dense.apply(rows)?.into_values();
        if self.link == Link::Exp {
            for value in &mut values {
                *value = value.exp();
            }
        }
        Ok(values)
    }
}

/// A linear classifier: one score for each class, or a single score for two.
#[derive(Debug)]
pub(super) struct LinearClassifier {
    dense: Dense,
    classes: Labels,
    proba: Proba,
}

impl LinearClassifier {
    pub(super) fn new(
        form: &form::LinearClassifier,
        tensors: &Tensors,
    ) -> Result<Self, ModelError> {
        let dense = Dense::new(tensors, &form.coef, &form.intercept)?;
        let classes = form.classes.clone();
        let single = classes.len() == 2 && dense.outputs() == 1;
        if classes.len() < 2 || !(single || dense.outputs() == classes.len()) {
            return Err(ModelError::store(format!(
                "{} scores do not fit {} classes",
                dense.outputs(),
                classes.len()
            )));
        }
        Ok(Self {
            dense,
            classes,
            proba: form.proba,
        })
    }

    fn scores(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        self.dense.apply(rows)
    }
}

impl Estimator for LinearClassifier {
    fn n_features(&self) -> usize {
        self.dense.inputs()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(decide(&self.scores(rows)?, &self.classes))
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        (self.proba != Proba::None).then(|| Ok(probabilities(&self.scores(rows)?, self.proba)))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.scores(rows))
    }
}
