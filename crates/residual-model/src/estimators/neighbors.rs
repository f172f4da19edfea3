//! Nearest neighbours, found by comparing with every point.

use super::estimator::Estimator;
use super::proba::{most_likely, normalize};
use crate::error::ModelError;
use crate::form::{self, Metric};
use crate::labels::Labels;
use crate::numeric::to_usize;
use crate::parallel::map_blocks;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// `KNeighborsRegressor` and `KNeighborsClassifier`.
#[derive(Debug)]
pub(super) struct Neighbors {
    points: Rows,
    /// For each point a number, or the index of its class.
    targets: Vec<f64>,
    count: usize,
    metric: Metric,
    weights_by_distance: bool,
    classes: Option<Labels>,
}

fn distance(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    match metric {
        Metric::Euclidean {} => differences.map(|d| d * d).sum::<f64>().sqrt(),
        Metric::Manhattan {} => differences.sum(),
        Metric::Chebyshev {} => differences.fold(0.0, f64::max),
        Metric::Minkowski { p } => differences.map(|d| d.powf(p)).sum::<f64>().powf(1.0 / p),
    }
}

impl Neighbors {
    pub(super) fn new(form: &form::Neighbors, tensors: &Tensors) -> Result<Self, ModelError> {
        let points = tensors.matrix(&form.points)?.to_rows()?;
        let targets = tensors.f64s(&form.targets)?;
        let classes = form.classes.clone();
        let is_index = |target: &f64| {
            classes
                .as_ref()
                .is_none_or(|classes| to_usize(*target).is_some_and(|index| index < classes.len()))
        };
        if targets.len() != points.n_rows()
            || form.count == 0
            || form.count > targets.len()
            || !targets.iter().all(is_index)
        {
            return Err(ModelError::store("the neighbours do not fit their targets"));
        }
        Ok(Self {
            points,
            targets: targets.to_vec(),
            count: form.count,
            metric: form.metric,
            weights_by_distance: form.weights_by_distance,
            classes,
        })
    }

    /// Target and weight of the nearest points, nearest first; of points at the same distance those with lower indices.
    fn nearest(&self, row: &[f64]) -> Vec<(f64, f64)> {
        let mut all: Vec<(f64, usize)> = self
            .points
            .iter()
            .map(|point| distance(self.metric, row, point))
            .zip(0..)
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        all.select_nth_unstable_by(self.count - 1, order);
        all.truncate(self.count);
        all.sort_by(order);
        let at_point = all[0].0 == 0.0;
        let weight = |distance: f64| match self.weights_by_distance {
            false => 1.0,
            // For a row that is exactly on points, only those points count.
            true if at_point => f64::from(u8::from(distance == 0.0)),
            true => 1.0 / distance,
        };
        all.into_iter()
            .map(|(distance, index)| (self.targets[index], weight(distance)))
            .collect()
    }

    /// The weighted mean of the targets of the nearest points.
    fn mean(&self, row: &[f64]) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (target, weight) in self.nearest(row) {
            sum += target * weight;
            weights += weight;
        }
        sum / weights
    }

    fn class_weights(&self, row: &[f64], classes: usize) -> Vec<f64> {
        let mut class_weights = vec![0.0; classes];
        for (target, weight) in self.nearest(row) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be an index when built"
            )]
            let index = target as usize;
            class_weights[index] += weight;
        }
        class_weights
    }

    /// For each row the mean, or the weight of each class.
    fn outputs(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let work = self.points.as_slice().len();
        map_blocks(rows, work, |rows| {
            rows.require_finite()?;
            match &self.classes {
                None => Rows::new(1, rows.iter().map(|row| self.mean(row)).collect()),
                Some(classes) => Rows::new(
                    classes.len(),
                    rows.iter()
                        .flat_map(|row| self.class_weights(row, classes.len()))
                        .collect(),
                ),
            }
        })
    }
}

impl Estimator for Neighbors {
    fn n_features(&self) -> usize {
        self.points.n_features()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let outputs = self.outputs(rows)?;
        Ok(match &self.classes {
            Some(classes) => most_likely(&outputs, classes),
            None => outputs.into_values(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(self.outputs(rows).map(|mut class_weights| {
            class_weights.iter_mut().for_each(normalize);
            class_weights
        }))
    }
}
