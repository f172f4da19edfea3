//! The distribution of the errors of all rows, for the picture.
//!
//! Promise: up to [`VALUES_MAX`] rows every number and every bin is exact. Beyond that the total stays exact, positions are
//! exact to [`Grid::RELATIVE_CELL`] of the range, and memory does not grow (8 MiB of values, or 2 MiB of cells). The cost of
//! a snapshot is that of [`VALUES_MAX`] values or of the cells at most, however many rows there were.

use super::{
    classes::{ClassCounts, ClassPair},
    grid::Grid,
    shape::{ErrorKind, ErrorView, Shape, Snapshot},
    summary::{Report, Summary},
};
use crate::task::TaskSpec;

/// Up to so many rows, every single error is kept.
pub const VALUES_MAX: usize = 1 << 20;

/// The accumulator that the picture is made from.
#[derive(Clone, Debug)]
pub struct Distribution {
    summary: Summary,
    errors: Errors,
    values_max: usize,
    /// For a classification, whose rows are counted by class and whose errors are 0 and 1.
    classes: Option<Box<ClassCounts>>,
}

#[derive(Clone, Debug)]
enum Errors {
    /// Signed errors; the absolute ones follow from them.
    Values(Vec<f64>),
    Grids(Box<Grids>),
}

#[derive(Clone, Debug)]
struct Grids {
    absolute: Grid,
    signed: Grid,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::with_values_max(VALUES_MAX)
    }
}

impl Distribution {
    /// An empty distribution.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is exact up to `values_max` rows (at least one) instead of [`VALUES_MAX`].
    #[must_use]
    pub fn with_values_max(values_max: usize) -> Self {
        Self {
            summary: Summary::new(),
            errors: Errors::Values(Vec::new()),
            values_max: values_max.max(1),
            classes: None,
        }
    }

    /// An empty distribution of numbers or of labels.
    #[must_use]
    pub fn with_task(spec: &TaskSpec) -> Self {
        Self {
            classes: ClassCounts::new(spec).map(Box::new),
            ..Self::default()
        }
    }

    /// Adds a row; one that is not finite is counted separately. For labels it returns their classes.
    #[inline]
    pub fn push(&mut self, y_true: f64, y_pred: f64) -> Option<ClassPair> {
        if let Some(classes) = &mut self.classes {
            let error = classes.spec().task.error(y_true, y_pred);
            self.summary.push(0.0, error);
            return Some(classes.push(y_true, y_pred));
        }
        if let Some(error) = self.summary.push(y_true, y_pred) {
            match &mut self.errors {
                Errors::Values(values) if values.len() < self.values_max => values.push(error),
                Errors::Values(values) => {
                    values.push(error);
                    self.errors = Errors::Grids(Box::new(Grids::new(values)));
                }
                Errors::Grids(grids) => grids.push(error),
            }
        }
        None
    }

    /// The classes of labels; none for numbers.
    #[must_use]
    pub fn classes(&self) -> Option<&ClassCounts> {
        self.classes.as_deref()
    }

    /// The numbers of all rows, to be shown.
    #[must_use]
    pub fn report(&self) -> Report {
        let report = self.summary.report();
        if self.classes.is_some() {
            report.of_labels()
        } else {
            report
        }
    }

    /// The running summary of all rows.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether single errors are still kept, so that shapes are exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.errors, Errors::Values(_))
    }

    /// What a picture of these rows needs.
    #[must_use]
    pub fn snapshot(&self, view: ErrorView) -> Snapshot {
        let shapes = view
            .kinds()
            .iter()
            .filter_map(|&kind| self.shape(kind))
            .collect();
        Snapshot {
            report: self.report(),
            shapes,
            classes: self.classes.as_ref().map(|classes| classes.shape()),
        }
    }

    fn shape(&self, kind: ErrorKind) -> Option<Shape> {
        if self.classes.is_some() {
            return None;
        }
        let (absolute, signed) = (self.summary.absolute(), self.summary.error());
        match (&self.errors, kind) {
            (Errors::Values(values), ErrorKind::Absolute) => {
                let values: Vec<f64> = values.iter().map(|error| error.abs()).collect();
                Shape::of_values(kind, &values, absolute)
            }
            (Errors::Values(values), ErrorKind::Signed) => Shape::of_values(kind, values, signed),
            (Errors::Grids(grids), ErrorKind::Absolute) => {
                Some(Shape::of_grid(kind, &grids.absolute, absolute))
            }
            (Errors::Grids(grids), ErrorKind::Signed) => {
                Some(Shape::of_grid(kind, &grids.signed, signed))
            }
        }
    }
}

impl Grids {
    fn new(errors: &[f64]) -> Self {
        Self {
            absolute: Grid::new(errors.iter().map(|error| error.abs())),
            signed: Grid::new(errors.iter().copied()),
        }
    }

    #[inline]
    fn push(&mut self, error: f64) {
        self.absolute.push(error.abs());
        self.signed.push(error);
    }
}

impl Extend<(f64, f64)> for Distribution {
    fn extend<I: IntoIterator<Item = (f64, f64)>>(&mut self, pairs: I) {
        let pairs = pairs.into_iter();
        if let Errors::Values(values) = &mut self.errors {
            values.reserve(pairs.size_hint().0.min(self.values_max - values.len()));
        }
        for (y_true, y_pred) in pairs {
            self.push(y_true, y_pred);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(n: u32) -> impl Iterator<Item = (f64, f64)> {
        let mut state = 5_u64;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            f64::from((state >> 33) as u32) / f64::from(1_u32 << 31)
        })
        .map(|u| (0.0, 30.0 * (u - 0.4).powi(3)))
        .take(n as usize)
    }

    #[test]
    fn beyond_the_bound_the_total_stays_exact_and_no_row_moves_by_more_than_a_cell() {
        let (mut exact, mut bounded) = (Distribution::new(), Distribution::with_values_max(1000));
        exact.extend(pairs(200_000));
        bounded.extend(pairs(200_000));
        assert!(exact.is_exact() && !bounded.is_exact());
        let (exact, bounded) = (
            exact.snapshot(ErrorView::Both),
            bounded.snapshot(ErrorView::Both),
        );
        assert_eq!(exact.report, bounded.report);
        for (exact, bounded) in exact.shapes.iter().zip(&bounded.shapes) {
            assert_eq!(bounded.histogram.total(), 200_000);
            assert_eq!(bounded.histogram.counts.len(), exact.histogram.counts.len());
            assert_eq!(bounded.histogram.edges, exact.histogram.edges);
            let range = exact.histogram.edges.last().unwrap() - exact.histogram.edges[0];
            let cell = range * Grid::RELATIVE_CELL;
            assert!((bounded.median - exact.median).abs() <= cell);
            assert!((bounded.p95 - exact.p95).abs() <= cell);
            check_ranks(exact.kind, &bounded.histogram, cell);
            let (curve, exact_curve) = (
                bounded.curve.as_ref().unwrap(),
                exact.curve.as_ref().unwrap(),
            );
            let peak = exact_curve.y.iter().copied().fold(0.0, f64::max);
            for (a, b) in curve.y.iter().zip(&exact_curve.y) {
                assert!((a - b).abs() <= 1e-3 * peak, "{a} {b}");
            }
        }
    }

    /// The cumulative count at an edge lies between the exact ones a cell to both sides.
    fn check_ranks(kind: ErrorKind, histogram: &crate::stats::Histogram, cell: f64) {
        let errors: Vec<f64> = pairs(200_000)
            .map(|(y_true, y_pred)| y_pred - y_true)
            .map(|error| {
                if kind == ErrorKind::Absolute {
                    error.abs()
                } else {
                    error
                }
            })
            .collect();
        let below = |x: f64| errors.iter().filter(|&&error| error < x).count() as u64;
        for (bin, &edge) in histogram.edges.iter().enumerate().step_by(7) {
            let passed: u64 = histogram.counts[..bin].iter().sum();
            assert!(
                (below(edge - cell)..=below(edge + cell)).contains(&passed),
                "{edge}"
            );
        }
    }

    #[test]
    fn an_outlier_far_beyond_all_others_changes_neither_total_nor_memory() {
        let mut distribution = Distribution::with_values_max(1000);
        distribution.extend(pairs(5000));
        distribution.push(0.0, 1e12);
        let snapshot = distribution.snapshot(ErrorView::Absolute);
        let histogram = &snapshot.shapes[0].histogram;
        assert_eq!(histogram.total(), 5001);
        assert_eq!(histogram.counts.first(), Some(&5000));
        assert_eq!(histogram.counts.last(), Some(&1));
    }

    #[test]
    fn without_rows_there_is_no_shape() {
        let mut distribution = Distribution::new();
        assert!(distribution.snapshot(ErrorView::Both).shapes.is_empty());
        distribution.push(f64::NAN, 1.0);
        assert!(distribution.snapshot(ErrorView::Both).shapes.is_empty());
        assert_eq!(distribution.summary().report().non_finite, 1);
    }
}
