//! Classifiers by distance from each class: Gaussian naive Bayes and quadratic discriminants.

use super::estimator::Estimator;
use super::proba::{argmax, softmax};
use crate::error::ModelError;
use crate::labels::Labels;
use crate::rows::Rows;

/// Log-likelihoods, quadratic in the row.
#[derive(Debug)]
pub(super) struct Quadratic {
    pub(super) means: Rows,
    /// Variances a class and feature, when features are independent.
    pub(super) spread: Option<Rows>,
    /// Else a projection a class, `[rank, features]`.
    pub(super) projections: Vec<Rows>,
    pub(super) offsets: Vec<f64>,
    pub(super) classes: Labels,
    pub(super) decides: bool,
}

impl Quadratic {
    pub(super) fn validated(self) -> Result<Self, ModelError> {
        let (count, width) = (self.classes.len(), self.means.n_features());
        let spread = self
            .spread
            .as_ref()
            .map_or(self.projections.len() == count, |spread| {
                spread.n_rows() == count && spread.n_features() == width
            });
        if count < 2
            || self.means.n_rows() != count
            || self.offsets.len() != count
            || !spread
            || self.projections.iter().any(|p| p.n_features() != width)
        {
            return Err(ModelError::store(
                "means and spreads do not fit the classes",
            ));
        }
        Ok(self)
    }

    fn scores(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut scores = Rows::zeros(rows.n_rows(), self.classes.len());
        for (index, row) in rows.iter().enumerate() {
            for class in 0..self.classes.len() {
                let away: Vec<f64> = row
                    .iter()
                    .zip(self.means.row(class))
                    .map(|(x, mean)| x - mean)
                    .collect();
                let squared: f64 = match &self.spread {
                    Some(spread) => away
                        .iter()
                        .zip(spread.row(class))
                        .map(|(d, variance)| d * d / variance)
                        .sum(),
                    None => self.projections[class]
                        .iter()
                        .map(|axis| {
                            away.iter()
                                .zip(axis)
                                .map(|(d, a)| d * a)
                                .sum::<f64>()
                                .powi(2)
                        })
                        .sum(),
                };
                scores.row_mut(index)[class] = self.offsets[class] - 0.5 * squared;
            }
        }
        Ok(scores)
    }
}

impl Estimator for Quadratic {
    fn n_features(&self) -> usize {
        self.means.n_features()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(self
            .scores(rows)?
            .iter()
            .map(|row| self.classes.value(argmax(row)))
            .collect())
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.scores(rows).map(|mut scores| {
            (0..scores.n_rows()).for_each(|row| softmax(scores.row_mut(row)));
            scores
        }))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.decides.then(|| {
            let scores = self.scores(rows)?;
            if self.classes.len() == 2 {
                Rows::new(1, scores.iter().map(|row| row[1] - row[0]).collect())
            } else {
                Ok(scores)
            }
        })
    }
}
