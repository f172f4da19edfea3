//! Estimators made of trees: forests, gradient boosting, isolation forests.

use super::estimator::{Estimator, require_outputs};
use super::proba::{decide, sigmoid, softmax, two_columns};
use super::trees::Trees;
use crate::error::ModelError;
use crate::form::{self, InitLink, Output};
use crate::info::Task;
use crate::labels::Labels;
use crate::parallel::map_blocks;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// The mean of trees: a random forest, extra trees or a single decision tree.
#[derive(Debug)]
pub(super) struct Forest {
    width: usize,
    trees: Trees,
    classes: Option<Labels>,
}

impl Forest {
    pub(super) fn new(
        form: &form::Forest,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let trees = Trees::new(&form.trees, tensors, width)?;
        let classes = form.classes.clone();
        require_outputs(trees.outputs(), classes.as_ref().map_or(1, Labels::len))?;
        Ok(Self {
            width,
            trees,
            classes,
        })
    }

    fn mean(&self, rows: &Rows) -> Result<Rows, ModelError> {
        map_blocks(rows, self.trees.row_work(), |rows| self.mean_of_block(rows))
    }

    fn mean_of_block(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let input = self.trees.input(rows)?;
        let mut output = Rows::zeros(rows.n_rows(), self.trees.outputs());
        let sums = output.as_mut_slice();
        self.trees.visit(&input, |_, row, leaf| {
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
            // A single column here is the probability of the only class, not a score.
            Some(classes) if mean.n_features() == 1 => vec![classes.value(0); rows.n_rows()],
            Some(classes) => decide(&mean, classes),
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

/// What boosting adds its trees to.
#[derive(Debug)]
pub(super) enum Init {
    Constant(Vec<f64>),
    Regressor(Box<dyn Estimator>),
    Classifier {
        estimator: Box<dyn Estimator>,
        clip: f64,
        link: InitLink,
    },
}

impl Init {
    /// From a regressor, which gives the start of a single output.
    pub(super) fn regressor(
        estimator: Box<dyn Estimator>,
        outputs: usize,
    ) -> Result<Self, ModelError> {
        if outputs == 1 {
            return Ok(Self::Regressor(estimator));
        }
        Err(ModelError::store(
            "the start of the boosting does not fit its outputs",
        ))
    }

    /// From a classifier that has as many classes as `link` needs to make `outputs` scores.
    pub(super) fn classifier(
        estimator: Box<dyn Estimator>,
        clip: f64,
        link: InitLink,
        outputs: usize,
    ) -> Result<Self, ModelError> {
        let classes = match link {
            InitLink::Logit | InitLink::HalfLogit => 2,
            InitLink::Log | InitLink::CenteredLog => outputs,
        };
        require_outputs(estimator.classes().map_or(0, Labels::len), classes)?;
        if !(0.0..0.5).contains(&clip) {
            return Err(ModelError::store("the clip of the start is out of range"));
        }
        Ok(Self::Classifier {
            estimator,
            clip,
            link,
        })
    }

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

/// Raw scores from the probabilities of one row.
pub(crate) fn scores(proba: &[f64], clip: f64, link: InitLink, raw: &mut [f64]) {
    let clipped = |p: f64| p.clamp(clip, 1.0 - clip);
    match link {
        InitLink::Logit | InitLink::HalfLogit => {
            let p = clipped(proba[1]);
            let logit = (p / (1.0 - p)).ln();
            raw[0] = if link == InitLink::Logit {
                logit
            } else {
                0.5 * logit
            };
        }
        InitLink::Log | InitLink::CenteredLog => {
            raw.iter_mut()
                .zip(proba)
                .for_each(|(raw, p)| *raw = clipped(*p).ln());
            if link == InitLink::CenteredLog {
                #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
                let mean = raw.iter().sum::<f64>() / raw.len() as f64;
                for raw in raw {
                    *raw -= mean;
                }
            }
        }
    }
}

/// Gradient boosting and histogram gradient boosting: a sum of trees.
#[derive(Debug)]
pub(super) struct Boosting {
    width: usize,
    trees: Trees,
    init: Init,
    learning_rate: f64,
    output: Output,
    /// Number of raw scores for each row.
    outputs: usize,
    classes: Option<Labels>,
}

impl Boosting {
    /// Number of raw scores for each row, when the output of the form fits its classes.
    pub(super) fn outputs_of(form: &form::Boosting) -> Result<usize, ModelError> {
        match (form.classes.as_ref().map_or(0, Labels::len), form.output) {
            (0, Output::Identity | Output::Exp) | (2, Output::Sigmoid | Output::DoubleSigmoid) => {
                Ok(1)
            }
            (count, Output::Softmax) if count >= 2 => Ok(count),
            _ => Err(ModelError::store(
                "the output of the boosting does not fit its classes",
            )),
        }
    }

    pub(super) fn new(
        form: &form::Boosting,
        init: Init,
        outputs: usize,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let trees = Trees::new(&form.trees, tensors, width)?;
        require_outputs(trees.outputs(), 1)?;
        Ok(Self {
            width,
            trees,
            init,
            learning_rate: tensors.vector(&form.learning_rate, 1)?[0],
            output: form.output,
            outputs,
            classes: form.classes.clone(),
        })
    }

    fn raw(&self, rows: &Rows) -> Result<Rows, ModelError> {
        map_blocks(rows, self.trees.row_work(), |rows| self.raw_of_block(rows))
    }

    fn raw_of_block(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let input = self.trees.input(rows)?;
        let mut raw = self.init.raw(&input.rows, self.outputs)?;
        self.trees.visit(&input, |tree, row, leaf| {
            raw.row_mut(row)[tree % self.outputs] += self.learning_rate * leaf[0];
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
            (Some(classes), _) => decide(&raw, classes),
            (None, Output::Exp) => raw.as_slice().iter().map(|raw| raw.exp()).collect(),
            (None, _) => raw.into_values(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(self.raw(rows).and_then(|mut raw| {
            if self.output == Output::Softmax {
                raw.iter_mut().for_each(softmax);
                return Ok(raw);
            }
            let factor = if self.output == Output::DoubleSigmoid {
                2.0
            } else {
                1.0
            };
            for value in raw.as_mut_slice() {
                *value = sigmoid(factor * *value);
            }
            two_columns(raw.as_slice())
        }))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(self.raw(rows))
    }
}

/// `IsolationForest`.
#[derive(Debug)]
pub(super) struct IsolationForest {
    width: usize,
    trees: Trees,
    /// The mean path length of a tree, times the number of trees.
    normalizer: f64,
    offset: f64,
}

impl IsolationForest {
    pub(super) fn new(
        form: &form::IsolationForest,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            width,
            trees: Trees::new(&form.trees, tensors, width)?,
            normalizer: tensors.vector(&form.normalizer, 1)?[0],
            offset: tensors.vector(&form.offset, 1)?[0],
        })
    }

    fn scores(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let depths = map_blocks(rows, self.trees.row_work(), |rows| {
            let input = self.trees.input(rows)?;
            let mut depths = vec![0.0; rows.n_rows()];
            self.trees
                .visit(&input, |_, row, leaf| depths[row] += leaf[0]);
            Rows::new(1, depths)
        })?;
        let score = |depth: f64| {
            let ratio = if self.normalizer == 0.0 {
                1.0
            } else {
                depth / self.normalizer
            };
            -(-ratio).exp2() - self.offset
        };
        Ok(depths.into_values().into_iter().map(score).collect())
    }
}

impl Estimator for IsolationForest {
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
