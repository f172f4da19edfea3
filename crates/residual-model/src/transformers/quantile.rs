//! `QuantileTransformer`: ranks among the quantiles seen when fitting, uniform or normal.

use super::normal::{cumulative, quantile};
use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// Values this near to the edge of the range count as on it.
const EDGE: f64 = 1e-7;

/// The quantiles of each column.
#[derive(Debug)]
pub(super) struct Quantile {
    columns: Vec<Vec<f64>>,
    references: Vec<f64>,
    normal: bool,
    clip: (f64, f64),
}

impl Quantile {
    pub(super) fn new(
        form: &form::Quantile,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let quantiles = tensors.matrix(&form.quantiles)?;
        let references = tensors.f64s(&form.references)?;
        let rises = |list: &[f64]| list.windows(2).all(|pair| pair[0] <= pair[1]);
        let columns: Vec<Vec<f64>> = (0..quantiles.columns)
            .map(|column| {
                quantiles
                    .values
                    .iter()
                    .skip(column)
                    .step_by(quantiles.columns)
                    .copied()
                    .collect()
            })
            .collect();
        if quantiles.columns != width || quantiles.rows != references.len() || references.is_empty()
        {
            return Err(ModelError::store("the quantiles do not fit the columns"));
        }
        if !rises(references) || !columns.iter().all(|column| rises(column)) {
            return Err(ModelError::store("the quantiles do not rise"));
        }
        let edge = EDGE - f64::EPSILON;
        Ok(Self {
            columns,
            references: references.to_vec(),
            normal: form.normal,
            clip: (quantile(edge), quantile(1.0 - edge)),
        })
    }

    #[expect(
        clippy::float_cmp,
        reason = "only the very edge counts, as in scikit-learn"
    )]
    fn forward(&self, x: f64, quantiles: &[f64]) -> f64 {
        let (low, high) = (quantiles[0], quantiles[quantiles.len() - 1]);
        let (below, above) = if self.normal {
            (x - EDGE < low, x + EDGE > high)
        } else {
            (x == low, x == high)
        };
        // Where quantiles are equal, ranks from the left and from the right differ: the middle of both counts.
        let mut rank = 0.5
            * (interpolate(x, quantiles, &self.references)
                + interpolate_from_right(x, quantiles, &self.references));
        if above {
            rank = 1.0;
        }
        if below {
            rank = 0.0;
        }
        if self.normal {
            quantile(rank).clamp(self.clip.0, self.clip.1)
        } else {
            rank
        }
    }

    #[expect(
        clippy::float_cmp,
        reason = "only the very edge counts, as in scikit-learn"
    )]
    fn backward(&self, x: f64, quantiles: &[f64]) -> f64 {
        let (low, high) = (quantiles[0], quantiles[quantiles.len() - 1]);
        let rank = if self.normal { cumulative(x) } else { x };
        let (below, above) = if self.normal {
            (rank - EDGE < 0.0, rank + EDGE > 1.0)
        } else {
            (rank == 0.0, rank == 1.0)
        };
        if below {
            low
        } else if above {
            high
        } else {
            interpolate(rank, &self.references, quantiles)
        }
    }

    /// NaN stays as it is.
    fn each(&self, rows: &Rows, change: impl Fn(f64, &[f64]) -> f64) -> Rows {
        let mut output = rows.clone();
        output.map_by_column(&self.columns, |value, quantiles| {
            if value.is_nan() {
                value
            } else {
                change(value, quantiles)
            }
        });
        output
    }
}

/// Piecewise linear through `(xs, ys)` and constant outside; of equal `xs` the last counts.
fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let after = xs.partition_point(|&left| left <= x);
    if after == 0 {
        return ys[0];
    }
    if after == xs.len() {
        return ys[after - 1];
    }
    let (x0, x1, y0, y1) = (xs[after - 1], xs[after], ys[after - 1], ys[after]);
    (y1 - y0) / (x1 - x0) * (x - x0) + y0
}

/// The same, but of equal `xs` the first counts.
fn interpolate_from_right(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let from = xs.partition_point(|&left| left < x);
    if from == xs.len() {
        return ys[from - 1];
    }
    if from == 0 {
        return ys[0];
    }
    let (x0, x1, y0, y1) = (xs[from], xs[from - 1], ys[from], ys[from - 1]);
    (y1 - y0) / (x1 - x0) * (x - x0) + y0
}

impl Transformer for Quantile {
    fn outputs(&self) -> usize {
        self.columns.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        Ok(self.each(rows, |x, quantiles| self.forward(x, quantiles)))
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(self.each(rows, |x, quantiles| self.backward(x, quantiles)))
    }
}
