//! Classifiers by the distance from each class: Gaussian naive Bayes and quadratic discriminant analysis.

use super::estimator::Estimator;
use super::proba::{most_likely, softmax};
use crate::error::ModelError;
use crate::form;
use crate::labels::Labels;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};

/// `GaussianNB` and `QuadraticDiscriminantAnalysis`: log-likelihoods that are quadratic in the row.
#[derive(Debug)]
pub(super) struct Quadratic {
    means: Rows,
    /// `[classes, features]`, where features are independent.
    variances: Option<Rows>,
    /// Otherwise `[rank, features]` for each class.
    projections: Vec<Rows>,
    offsets: Vec<f64>,
    classes: Labels,
    has_decision_function: bool,
}

impl Quadratic {
    pub(super) fn new(form: &form::Quadratic, tensors: &Tensors) -> Result<Self, ModelError> {
        let matrix = |key: &Key| tensors.matrix(key)?.to_rows();
        let quadratic = Self {
            means: matrix(&form.means)?,
            variances: form.variances.as_ref().map(matrix).transpose()?,
            projections: form
                .projections
                .iter()
                .map(matrix)
                .collect::<Result<_, _>>()?,
            offsets: tensors.f64s(&form.offsets)?.to_vec(),
            classes: form.classes.clone(),
            has_decision_function: form.has_decision_function,
        };
        let (count, width) = (form.classes.len(), quadratic.means.n_features());
        let spreads_fit = match &quadratic.variances {
            Some(variances) => variances.n_rows() == count && variances.n_features() == width,
            None => quadratic.projections.len() == count,
        };
        if count < 2
            || quadratic.means.n_rows() != count
            || quadratic.offsets.len() != count
            || !spreads_fit
            || quadratic
                .projections
                .iter()
                .any(|p| p.n_features() != width)
        {
            return Err(ModelError::store(
                "means and spreads do not fit the classes",
            ));
        }
        Ok(quadratic)
    }

    fn scores(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut scores = Rows::zeros(rows.n_rows(), self.classes.len());
        for (index, row) in rows.iter().enumerate() {
            for class in 0..self.classes.len() {
                let differences: Vec<f64> = row
                    .iter()
                    .zip(self.means.row(class))
                    .map(|(x, mean)| x - mean)
                    .collect();
                let squared: f64 = match &self.variances {
                    Some(variances) => differences
                        .iter()
                        .zip(variances.row(class))
                        .map(|(d, variance)| d * d / variance)
                        .sum(),
                    None => self.projections[class]
                        .iter()
                        .map(|axis| {
                            differences
                                .iter()
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
        Ok(most_likely(&self.scores(rows)?, &self.classes))
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.scores(rows).map(|mut scores| {
            scores.iter_mut().for_each(softmax);
            scores
        }))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.has_decision_function.then(|| {
            let scores = self.scores(rows)?;
            if self.classes.len() == 2 {
                Rows::new(1, scores.iter().map(|row| row[1] - row[0]).collect())
            } else {
                Ok(scores)
            }
        })
    }
}
