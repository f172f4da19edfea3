//! Estimators made of trees: forests, boosting, isolation.

use super::estimator::Estimator;
use super::proba::{argmax_labels, sigmoid, softmax};
use super::trees::Trees;
use crate::error::ModelError;
use crate::form::{Output, StartLink};
use crate::info::Task;
use crate::labels::Labels;
use crate::parallel::in_blocks;
use crate::rows::Rows;

/// The mean of the trees.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) width: usize,
    pub(super) trees: Trees,
    pub(super) classes: Option<Labels>,
}

impl Forest {
    fn mean(&self, rows: &Rows) -> Result<Rows, ModelError> {
        in_blocks(rows, self.trees.row_work(), |rows| self.mean_of_block(rows))
    }

    fn mean_of_block(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let prepared = self.trees.prepare(rows)?;
        let mut output = Rows::zeros(rows.n_rows(), self.trees.outputs());
        let sums = output.as_mut_slice();
        self.trees.visit(&prepared, |_, row, leaf| {
            if let &[value] = leaf {
                sums[row] += value;
            } else {
                let sums = &mut sums[row * leaf.len()..];
                sums.iter_mut()
                    .zip(leaf)
                    .for_each(|(sum, value)| *sum += value);
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "a number of trees")]
        let count = self.trees.len() as f64;
        for value in sums.iter_mut() {
            *value /= count;
        }
        Ok(output)
    }
}

impl Estimator for Forest {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let mean = self.mean(rows)?;
        Ok(match &self.classes {
            // A single column here is a forest of one class, not a score.
            Some(classes) if mean.n_features() == 1 => vec![classes.value(0); rows.n_rows()],
            Some(classes) => argmax_labels(&mean, classes),
            None => mean.into_values(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref().map(|_| self.mean(rows))
    }
}

/// Where boosting starts.
#[derive(Debug)]
pub(super) enum Start {
    Constant(Vec<f64>),
    Regressor(Box<dyn Estimator>),
    Classifier {
        estimator: Box<dyn Estimator>,
        clip: f64,
        link: StartLink,
    },
}

impl Start {
    /// Raw scores `[n, outputs]` before the first tree.
    fn raw(&self, rows: &Rows, outputs: usize) -> Result<Rows, ModelError> {
        let mut raw = Rows::zeros(rows.n_rows(), outputs);
        match self {
            Self::Constant(values) => {
                (0..rows.n_rows()).for_each(|row| raw.row_mut(row).copy_from_slice(values));
            }
            Self::Regressor(estimator) => raw
                .as_mut_slice()
                .copy_from_slice(&estimator.predict(rows)?),
            Self::Classifier {
                estimator,
                clip,
                link,
            } => {
                let proba = estimator
                    .predict_proba(rows)
                    .ok_or_else(|| ModelError::store("the start has no probabilities"))??;
                for (row, proba) in proba.iter().enumerate() {
                    scores(proba, *clip, *link, raw.row_mut(row));
                }
            }
        }
        Ok(raw)
    }
}

/// Raw scores of one row's probabilities.
pub(crate) fn scores(proba: &[f64], clip: f64, link: StartLink, raw: &mut [f64]) {
    let clipped = |p: f64| p.clamp(clip, 1.0 - clip);
    match link {
        StartLink::Logit | StartLink::HalfLogit => {
            let p = clipped(proba[1]);
            let logit = (p / (1.0 - p)).ln();
            raw[0] = if link == StartLink::Logit {
                logit
            } else {
                0.5 * logit
            };
        }
        StartLink::Log | StartLink::CenteredLog => {
            raw.iter_mut()
                .zip(proba)
                .for_each(|(raw, p)| *raw = clipped(*p).ln());
            if link == StartLink::CenteredLog {
                #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
                let mean = raw.iter().sum::<f64>() / raw.len() as f64;
                for raw in raw {
                    *raw -= mean;
                }
            }
        }
    }
}

/// A sum of trees.
#[derive(Debug)]
pub(super) struct Boosting {
    pub(super) width: usize,
    pub(super) trees: Trees,
    pub(super) start: Start,
    pub(super) rate: f64,
    pub(super) output: Output,
    /// Raw scores a row.
    pub(super) outputs: usize,
    pub(super) classes: Option<Labels>,
}

impl Boosting {
    fn raw(&self, rows: &Rows) -> Result<Rows, ModelError> {
        in_blocks(rows, self.trees.row_work(), |rows| self.raw_of_block(rows))
    }

    fn raw_of_block(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let prepared = self.trees.prepare(rows)?;
        let mut raw = self.start.raw(&prepared.rows, self.outputs)?;
        self.trees.visit(&prepared, |tree, row, leaf| {
            raw.row_mut(row)[tree % self.outputs] += self.rate * leaf[0];
        });
        Ok(raw)
    }
}

impl Estimator for Boosting {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let raw = self.raw(rows)?;
        Ok(match (&self.classes, self.output) {
            (Some(classes), _) => argmax_labels(&raw, classes),
            (None, Output::Exp) => raw.as_slice().iter().map(|raw| raw.exp()).collect(),
            (None, _) => raw.into_values(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(self.raw(rows).map(|mut raw| {
            if self.output == Output::Softmax {
                (0..raw.n_rows()).for_each(|row| softmax(raw.row_mut(row)));
                return raw;
            }
            let factor = if self.output == Output::DoubleSigmoid {
                2.0
            } else {
                1.0
            };
            let mut proba = Rows::zeros(raw.n_rows(), 2);
            for (row, raw) in raw.as_slice().iter().enumerate() {
                let p = sigmoid(factor * raw);
                proba.row_mut(row).copy_from_slice(&[1.0 - p, p]);
            }
            proba
        }))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(self.raw(rows))
    }
}

/// `IsolationForest`.
#[derive(Debug)]
pub(super) struct Isolation {
    pub(super) width: usize,
    pub(super) trees: Trees,
    /// Mean path length of the trees, times their number.
    pub(super) normaliser: f64,
    pub(super) offset: f64,
}

impl Isolation {
    fn scores(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let depths = in_blocks(rows, self.trees.row_work(), |rows| {
            let prepared = self.trees.prepare(rows)?;
            let mut depths = vec![0.0; rows.n_rows()];
            self.trees
                .visit(&prepared, |_, row, leaf| depths[row] += leaf[0]);
            Rows::new(1, depths)
        })?;
        let score = |depth: f64| {
            let ratio = if self.normaliser == 0.0 {
                1.0
            } else {
                depth / self.normaliser
            };
            -(-ratio).exp2() - self.offset
        };
        Ok(depths.into_values().into_iter().map(score).collect())
    }
}

impl Estimator for Isolation {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(self
            .scores(rows)?
            .into_iter()
            .map(|score| if score < 0.0 { -1.0 } else { 1.0 })
            .collect())
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.scores(rows).and_then(|scores| Rows::new(1, scores)))
    }

    fn task(&self) -> Task {
        Task::OutlierDetection
    }
}
