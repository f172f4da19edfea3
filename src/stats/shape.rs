//! What the picture of a distribution needs; its size does not depend on the number of rows.
//!
//! Promise: a shape made from values is exact; in one made from a grid, the total is exact and positions are exact to a
//! cell.

use serde::{Deserialize, Serialize};

use super::{
    classes::ClassShape,
    grid::Grid,
    histogram::{Histogram, auto_edges},
    kde::Curve,
    moments::Moments,
    select,
    summary::Report,
};

/// Which error of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// `|y_pred - y_true|`
    Absolute,
    /// `y_pred - y_true`
    Signed,
}

impl ErrorKind {
    /// The label of its axis.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absolute => "absolute_error",
            Self::Signed => "signed_error",
        }
    }
}

/// Which errors are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorView {
    /// The absolute error.
    #[default]
    Absolute,
    /// The signed error.
    Signed,
    /// Both, side by side.
    Both,
}

impl ErrorView {
    /// The errors of this view, in the order they are shown.
    #[must_use]
    pub fn kinds(self) -> &'static [ErrorKind] {
        match self {
            Self::Absolute => &[ErrorKind::Absolute],
            Self::Signed => &[ErrorKind::Signed],
            Self::Both => &[ErrorKind::Absolute, ErrorKind::Signed],
        }
    }
}

/// Everything that a picture shows: the numbers and the shapes at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// The summary of the same rows.
    pub report: Report,
    /// One shape for each error asked for; none without rows.
    pub shapes: Vec<Shape>,
    /// Right and wrong by class; only for a classification, which has no shapes.
    pub classes: Option<ClassShape>,
}

impl Snapshot {
    /// The shape of that error, if it was asked for and there are rows.
    #[must_use]
    pub fn shape(&self, kind: ErrorKind) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.kind == kind)
    }
}

/// The distribution of one error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// Which error.
    pub kind: ErrorKind,
    /// Bins as numpy chooses them with `auto`.
    pub histogram: Histogram,
    /// The density scaled to counts; `None` without spread.
    pub curve: Option<Curve>,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// 95 % quantile.
    pub p95: f64,
}

impl Shape {
    /// Of finite `values` with these `moments`; `None` without values.
    pub(super) fn of_values(kind: ErrorKind, values: &[f64], moments: &Moments) -> Option<Self> {
        let n = values.len() as u64;
        let quartiles = select::quantiles(values, [0.25, 0.5, 0.75, 0.95])?;
        let [lower, median, upper, p95] = quartiles;
        let range = (moments.min(), moments.max());
        let edges = auto_edges(n, range.0, range.1, upper - lower);
        let histogram = Histogram::of_values(edges, values);
        let points = values.iter().map(|&x| (x, 1.0));
        let curve = moments
            .std()
            .and_then(|std| Curve::density(points, n, std, range));
        let curve = curve.map(|curve| curve.scaled(histogram.area()));
        Some(Self {
            kind,
            histogram,
            curve,
            mean: moments.mean(),
            median,
            p95,
        })
    }

    /// Of the values counted by `grid`, with these `moments`.
    pub(super) fn of_grid(kind: ErrorKind, grid: &Grid, moments: &Moments) -> Self {
        let (low, high) = grid.range();
        let iqr = grid.quantile(0.75) - grid.quantile(0.25);
        let histogram = Histogram::of_grid(auto_edges(grid.n(), low, high, iqr), grid);
        let points = grid
            .cells()
            .map(|(x, count)| (x, super::moments::as_f64(count)));
        let curve = moments
            .std()
            .and_then(|std| Curve::density(points, grid.n(), std, (low, high)));
        Self {
            kind,
            curve: curve.map(|curve| curve.scaled(histogram.area())),
            histogram,
            mean: moments.mean(),
            median: grid.quantile(0.5),
            p95: grid.quantile(0.95),
        }
    }
}
