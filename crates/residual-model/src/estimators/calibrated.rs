//! Calibrated classifiers, one-vs-rest classifiers and isotonic regression: what turns scores into something else.

use super::ensemble::match_classes;
use super::estimator::Estimator;
use super::proba::{most_likely, normalize, second_of_two, sigmoid, two_columns};
use crate::error::ModelError;
use crate::form::{self, OutOfBounds};
use crate::labels::Labels;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// A curve through points, linear between them; `x` never falls.
#[derive(Debug)]
struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
    out_of_bounds: OutOfBounds,
}

impl Curve {
    fn new(form: &form::Isotonic, tensors: &Tensors) -> Result<Self, ModelError> {
        let (x, y) = (tensors.f64s(&form.x)?, tensors.f64s(&form.y)?);
        if x.is_empty() || x.len() != y.len() || !x.is_sorted() {
            return Err(ModelError::store("the points of a curve do not rise"));
        }
        Ok(Self {
            x: x.to_vec(),
            y: y.to_vec(),
            out_of_bounds: form.out_of_bounds,
        })
    }

    fn value_at(&self, x: f64) -> Option<f64> {
        let last = self.x.len() - 1;
        if x < self.x[0] || x > self.x[last] {
            return match self.out_of_bounds {
                OutOfBounds::Clip => Some(self.y[if x < self.x[0] { 0 } else { last }]),
                OutOfBounds::Nan => Some(f64::NAN),
                OutOfBounds::Raise => None,
            };
        }
        let after = self
            .x
            .partition_point(|left| *left < x)
            .clamp(1, last.max(1));
        if last == 0 {
            return Some(self.y[0]);
        }
        let (x0, x1, y0, y1) = (
            self.x[after - 1],
            self.x[after],
            self.y[after - 1],
            self.y[after],
        );
        Some((y1 - y0) / (x1 - x0) * (x - x0) + y0)
    }
}

/// `IsotonicRegression`.
#[derive(Debug)]
pub(super) struct Isotonic {
    curve: Curve,
}

impl Isotonic {
    pub(super) fn new(form: &form::Isotonic, tensors: &Tensors) -> Result<Self, ModelError> {
        let curve = Curve::new(form, tensors)?;
        Ok(Self { curve })
    }
}

impl Estimator for Isotonic {
    fn n_features(&self) -> usize {
        1
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        rows.require_finite()?;
        let value = |(row, x): (usize, &f64)| {
            let problem = || {
                format!(
                    "{x} is outside what the curve was fitted on, and the model says to refuse that"
                )
            };
            self.curve.value_at(*x).ok_or_else(|| ModelError::Value {
                row,
                feature: 0,
                problem: problem(),
            })
        };
        rows.as_slice().iter().enumerate().map(value).collect()
    }
}

/// From a score to a probability.
#[derive(Debug)]
pub(super) enum Calibrator {
    Sigmoid { a: f64, b: f64 },
    Isotonic(Isotonic),
}

impl Calibrator {
    pub(super) fn new(form: &form::Calibrator, tensors: &Tensors) -> Result<Self, ModelError> {
        Ok(match form {
            form::Calibrator::Sigmoid { ab } => {
                let ab = tensors.vector(ab, 2)?;
                Self::Sigmoid { a: ab[0], b: ab[1] }
            }
            form::Calibrator::Isotonic(form) => Self::Isotonic(Isotonic::new(form, tensors)?),
        })
    }

    fn value_at(&self, score: f64) -> f64 {
        match self {
            Self::Sigmoid { a, b } => sigmoid(-(a * score + b)),
            Self::Isotonic(isotonic) => isotonic.curve.value_at(score).unwrap_or(f64::NAN),
        }
    }
}

/// Scores of a classifier, one column for two classes: its decision function where it has one (and then `true`), otherwise its
/// probabilities.
fn scores(estimator: &dyn Estimator, rows: &Rows) -> Result<(Rows, bool), ModelError> {
    if let Some(decisions) = estimator.decision_function(rows) {
        return Ok((decisions?, true));
    }
    let proba = estimator
        .predict_proba(rows)
        .ok_or_else(|| ModelError::store("a member has neither scores nor probabilities"))??;
    Ok((second_of_two(proba), false))
}

/// `CalibratedClassifierCV`.
#[derive(Debug)]
pub(super) struct Calibrated {
    width: usize,
    members: Vec<CalibratedPart>,
    classes: Labels,
}

/// A classifier, the place of each of its scores among all classes, and the calibrators of the scores.
type CalibratedPart = (Box<dyn Estimator>, Vec<usize>, Vec<Calibrator>);

impl Calibrated {
    pub(super) fn new(
        members: Vec<(Box<dyn Estimator>, Vec<Calibrator>)>,
        classes: Labels,
        width: usize,
    ) -> Result<Self, ModelError> {
        let mut parts = vec![];
        for (estimator, calibrators) in members {
            let matched = match_classes(
                estimator
                    .classes()
                    .ok_or_else(|| ModelError::store("a member is no classifier"))?,
                &classes,
            )?;
            // Two classes have one score, that of the second.
            let places = if classes.len() == 2 { vec![1] } else { matched };
            if places.len() != calibrators.len() {
                return Err(ModelError::store("the calibrators do not fit the classes"));
            }
            parts.push((estimator, places, calibrators));
        }
        if parts.is_empty() || classes.len() < 2 {
            return Err(ModelError::store("there is nothing to calibrate"));
        }
        Ok(Self {
            width,
            members: parts,
            classes,
        })
    }

    fn proba(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let count = self.classes.len();
        let mut mean = Rows::zeros(rows.n_rows(), count);
        for (estimator, places, calibrators) in &self.members {
            let (scores, _) = scores(estimator.as_ref(), rows)?;
            for (index, scores) in scores.iter().enumerate() {
                let mut row = vec![0.0; count];
                for ((score, place), calibrator) in scores.iter().zip(places).zip(calibrators) {
                    row[*place] = calibrator.value_at(*score);
                }
                if count == 2 {
                    row[0] = 1.0 - row[1];
                } else {
                    if row.iter().all(|p| *p == 0.0) {
                        row.fill(1.0);
                    }
                    normalize(&mut row);
                }
                mean.row_mut(index)
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, p)| *sum += if p > 1.0 && p <= 1.0 + 1e-5 { 1.0 } else { p });
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of members")]
        let members = self.members.len() as f64;
        mean.as_mut_slice()
            .iter_mut()
            .for_each(|value| *value /= members);
        Ok(mean)
    }
}

impl Estimator for Calibrated {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(most_likely(&self.proba(rows)?, &self.classes))
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.proba(rows))
    }
}

/// `OneVsRestClassifier`.
#[derive(Debug)]
pub(super) struct OneVsRest {
    width: usize,
    members: Vec<Box<dyn Estimator>>,
    classes: Labels,
}

impl OneVsRest {
    pub(super) fn new(
        members: Vec<Box<dyn Estimator>>,
        classes: Labels,
        width: usize,
    ) -> Result<Self, ModelError> {
        let binary = members
            .iter()
            .all(|member| member.classes().is_some_and(|classes| classes.len() == 2));
        let expected = if classes.len() == 2 { 1 } else { classes.len() };
        if !binary || classes.len() < 2 || members.len() != expected {
            return Err(ModelError::store("the members do not fit the classes"));
        }
        Ok(Self {
            width,
            members,
            classes,
        })
    }
}

impl Estimator for OneVsRest {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let answers = self
            .members
            .iter()
            .map(|member| scores(member.as_ref(), rows))
            .collect::<Result<Vec<_>, _>>()?;
        if let [(scores, decides)] = answers.as_slice() {
            let threshold = if *decides { 0.0 } else { 0.5 };
            return Ok(scores
                .as_slice()
                .iter()
                .map(|score| self.classes.value(usize::from(*score > threshold)))
                .collect());
        }
        let columns: Vec<Rows> = answers.into_iter().map(|(scores, _)| scores).collect();
        Ok(most_likely(
            &Rows::hstack(rows.n_rows(), &columns),
            &self.classes,
        ))
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        let mut columns = vec![];
        for member in &self.members {
            match member.predict_proba(rows)? {
                Ok(proba) => columns.push(proba.select_columns(&[1])),
                Err(error) => return Some(Err(error)),
            }
        }
        if let [column] = columns.as_slice() {
            return Some(two_columns(column.as_slice()));
        }
        let mut proba = Rows::hstack(rows.n_rows(), &columns);
        proba.iter_mut().for_each(normalize);
        Some(Ok(proba))
    }
}
