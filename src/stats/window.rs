//! Only the last rows: the last so many, or those of the last so many milliseconds.
//!
//! Promise: at most `rows_max` rows are kept (24 bytes each). All numbers of a window are exact, because they are computed
//! from its rows on demand: that costs time in proportion to the window, not to the history, and no digits are lost by
//! subtracting rows that have left. Deliberately absent: a clock; the caller says when a row came and what time it is.

use std::collections::VecDeque;

use super::{
    classes::ClassCounts,
    shape::{ErrorKind, ErrorView, Shape, Snapshot},
    summary::Summary,
};
use crate::task::TaskSpec;

/// The last rows.
#[derive(Clone, Debug)]
pub struct Window {
    rows: VecDeque<Row>,
    rows_max: usize,
    duration_ms: Option<u64>,
    /// The time of the newest row that had to leave only because there was no room.
    crowded_out_ms: Option<u64>,
    spec: TaskSpec,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    at_ms: u64,
    y_true: f64,
    y_pred: f64,
}

impl Window {
    /// The last `rows_max` rows (at least one).
    #[must_use]
    pub fn last_rows(rows_max: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            rows_max: rows_max.max(1),
            duration_ms: None,
            crowded_out_ms: None,
            spec: TaskSpec::default(),
        }
    }

    /// The same window for rows of this task.
    #[must_use]
    pub fn with_task(self, spec: &TaskSpec) -> Self {
        Self {
            spec: spec.clone(),
            ..self
        }
    }

    /// The rows of the last `duration_ms`, but at most `rows_max` (at least one).
    #[must_use]
    pub fn last_duration(duration_ms: u64, rows_max: usize) -> Self {
        Self {
            duration_ms: Some(duration_ms),
            ..Self::last_rows(rows_max)
        }
    }

    /// Adds a row that came at `at_ms`. If times go backwards, rows are only forgotten later.
    pub fn push(&mut self, at_ms: u64, y_true: f64, y_pred: f64) {
        self.expire(at_ms);
        if self.rows.len() == self.rows_max {
            let oldest = self.rows.pop_front();
            self.crowded_out_ms = oldest.map(|row| row.at_ms);
        }
        self.rows.push_back(Row {
            at_ms,
            y_true,
            y_pred,
        });
    }

    /// Forgets what is too old at `now_ms`.
    pub fn expire(&mut self, now_ms: u64) {
        let Some(duration_ms) = self.duration_ms else {
            return;
        };
        let too_old = |at_ms: u64| now_ms.saturating_sub(at_ms) > duration_ms;
        while self.rows.front().is_some_and(|row| too_old(row.at_ms)) {
            self.rows.pop_front();
        }
        self.crowded_out_ms = self.crowded_out_ms.filter(|&at_ms| !too_old(at_ms));
    }

    /// Rows inside, also those that are not finite.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether rows of the last duration were left out because there were more than `rows_max`.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.duration_ms.is_some() && self.crowded_out_ms.is_some()
    }

    /// The numbers of the rows inside.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::new();
        summary.extend(self.rows.iter().map(|row| (row.y_true, row.y_pred)));
        summary
    }

    /// What a picture of the rows inside needs.
    #[must_use]
    pub fn snapshot(&self, view: ErrorView) -> Snapshot {
        if let Some(classes) = ClassCounts::new(&self.spec) {
            return self.labelled(classes);
        }
        let mut summary = Summary::new();
        let errors: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|row| summary.push(row.y_true, row.y_pred))
            .collect();
        let shape = |&kind: &ErrorKind| match kind {
            ErrorKind::Signed => Shape::of_values(kind, &errors, summary.error()),
            ErrorKind::Absolute => {
                let absolute: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
                Shape::of_values(kind, &absolute, summary.absolute())
            }
        };
        let shapes = view.kinds().iter().filter_map(shape).collect();
        Snapshot {
            report: summary.report(),
            shapes,
            classes: None,
        }
    }

    fn labelled(&self, mut classes: ClassCounts) -> Snapshot {
        let mut summary = Summary::new();
        for row in &self.rows {
            classes.push(row.y_true, row.y_pred);
            summary.push(0.0, self.spec.task.error(row.y_true, row.y_pred));
        }
        Snapshot {
            report: summary.report().of_labels(),
            shapes: Vec::new(),
            classes: Some(classes.shape()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_kept_and_the_rest_forgotten() {
        let mut window = Window::last_rows(3);
        for i in 0..10_u8 {
            window.push(0, 0.0, f64::from(i));
        }
        assert_eq!(window.len(), 3);
        assert_eq!(window.summary().mae(), Some(8.0));
        assert!(!window.is_truncated());
    }

    #[test]
    fn rows_leave_when_their_time_is_over_also_without_new_ones() {
        let mut window = Window::last_duration(1000, 100);
        window.push(0, 0.0, 1.0);
        window.push(900, 0.0, 3.0);
        assert_eq!(window.summary().mae(), Some(2.0));
        window.expire(1000);
        assert_eq!(window.len(), 2);
        window.expire(1001);
        assert_eq!(window.summary().mae(), Some(3.0));
        window.expire(5000);
        assert!(window.is_empty());
        assert_eq!(window.snapshot(ErrorView::Both), Snapshot::default());
    }

    #[test]
    fn a_crowd_is_cut_and_said_to_be() {
        let mut window = Window::last_duration(1000, 2);
        for at_ms in [0, 10, 20] {
            window.push(at_ms, 0.0, 1.0);
        }
        assert!(window.is_truncated());
        window.expire(1005);
        assert!(!window.is_truncated());
    }

    #[test]
    fn an_old_huge_row_leaves_no_trace_in_the_digits() {
        let mut window = Window::last_rows(2);
        for error in [1e17, 0.1, 0.3] {
            window.push(0, 0.0, error);
        }
        assert_eq!(window.summary().mae(), Some(0.2));
    }

    #[test]
    fn a_window_of_everything_has_the_shape_of_everything() {
        let mut window = Window::last_rows(1000);
        let mut all = super::super::Distribution::new();
        for i in 0..500_u32 {
            let pair = (f64::from(i), f64::from(i * i % 91));
            window.push(0, pair.0, pair.1);
            all.push(pair.0, pair.1);
        }
        assert_eq!(
            window.snapshot(ErrorView::Both),
            all.snapshot(ErrorView::Both)
        );
    }
}
