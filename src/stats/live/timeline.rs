//! The absolute error along time and along the log, in a bounded number of stretches.

use std::collections::VecDeque;

use serde::Serialize;

use super::Mean;
use crate::stats::{Moments, Pair, Report, Summary, Tally, mean_interval};

/// Stretches of a time window.
const TIME_STRETCHES: u64 = 60;

/// Most stretches of a log; when they are full, neighbours unite and stretches get twice as long.
const ROW_STRETCHES_MAX: usize = 128;

/// How an error went along time (milliseconds since the Unix epoch) or along the log (row numbers from 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Where the first stretch could begin.
    pub from: u64,
    /// Where the last stretch could end.
    pub to: u64,
    /// Length of a stretch, in the unit of the course.
    pub step: u64,
    /// Oldest first; stretches without rows are absent.
    pub stretches: Vec<Bucket>,
}

/// Rows of one stretch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// Where it begins.
    pub from: u64,
    /// Rows in it.
    pub n: u64,
    /// Their mean absolute error.
    pub mae: f64,
    /// Half the width of its 95 % interval; absent for a single row.
    pub half: Option<f64>,
}

impl Bucket {
    fn new(from: u64, n: u64, rows: &Moments) -> Self {
        let mae = rows.mean();
        let interval = rows.std().and_then(|std| mean_interval(n, mae, std));
        Self {
            from,
            n,
            mae,
            half: interval.map(|interval| interval.high - mae),
        }
    }
}

/// Rows of the last so many milliseconds.
#[derive(Debug)]
pub(super) struct ByTime {
    step_ms: u64,
    /// By number of the step since the epoch, ascending; at most [`TIME_STRETCHES`] + 1.
    stretches: VecDeque<(u64, Rows)>,
}

#[derive(Debug, Default)]
struct Rows {
    summary: Summary,
    naive: Mean,
    tally: Tally,
}

impl ByTime {
    pub(super) fn new(window_ms: u64) -> Self {
        let step_ms = (window_ms / TIME_STRETCHES).max(1);
        Self {
            step_ms,
            stretches: VecDeque::new(),
        }
    }

    /// Rows may come a little out of order; older ones than the window are forgotten.
    pub(super) fn push(
        &mut self,
        at_ms: u64,
        (y_true, y_pred): (f64, f64),
        naive: Option<f64>,
        classes: Option<Pair>,
    ) {
        let step = at_ms / self.step_ms;
        let newest = self
            .stretches
            .back()
            .map_or(step, |(newest, _)| step.max(*newest));
        while self
            .stretches
            .front()
            .is_some_and(|(oldest, _)| oldest + TIME_STRETCHES < newest)
        {
            self.stretches.pop_front();
        }
        if step + TIME_STRETCHES < newest {
            return;
        }
        let place = self.stretches.partition_point(|(other, _)| *other < step);
        if self
            .stretches
            .get(place)
            .is_none_or(|(other, _)| *other != step)
        {
            self.stretches.insert(place, (step, Rows::default()));
        }
        if let Some((_, rows)) = self.stretches.get_mut(place) {
            rows.summary.push(y_true, y_pred);
            rows.naive.push(naive);
            if let Some(classes) = classes {
                rows.tally.push(classes);
            }
        }
    }

    fn within(&self, now_ms: u64) -> impl Iterator<Item = &(u64, Rows)> {
        let oldest = (now_ms / self.step_ms).saturating_sub(TIME_STRETCHES - 1);
        self.stretches
            .iter()
            .filter(move |(step, _)| *step >= oldest)
    }

    pub(super) fn report(&self, now_ms: u64) -> Report {
        let (mut all, mut naive) = (Summary::new(), Mean::default());
        for (_, rows) in self.within(now_ms) {
            all.merge(&rows.summary);
            naive.add(rows.naive);
        }
        Report {
            baseline_mae: naive.get(),
            ..all.report()
        }
    }

    /// How right labels are.
    pub(super) fn tally(&self, now_ms: u64) -> Tally {
        let mut all = Tally::default();
        for (_, rows) in self.within(now_ms) {
            all.merge(&rows.tally);
        }
        all
    }

    pub(super) fn timeline(&self, now_ms: u64) -> Timeline {
        let newest = now_ms / self.step_ms;
        let bucket = |(step, rows): &(u64, Rows)| {
            Bucket::new(
                step * self.step_ms,
                rows.summary.n(),
                rows.summary.absolute(),
            )
        };
        Timeline {
            from: newest.saturating_sub(TIME_STRETCHES - 1) * self.step_ms,
            to: (newest + 1) * self.step_ms,
            step: self.step_ms,
            stretches: self
                .within(now_ms)
                .filter(|(_, rows)| rows.summary.n() > 0)
                .map(bucket)
                .collect(),
        }
    }
}

/// The whole log, coarser the longer it gets.
#[derive(Debug)]
pub(super) struct ByRows {
    rows_each: u64,
    rows: u64,
    stretches: Vec<Moments>,
}

impl Default for ByRows {
    fn default() -> Self {
        Self {
            rows_each: 1,
            rows: 0,
            stretches: Vec::new(),
        }
    }
}

impl ByRows {
    pub(super) fn push(&mut self, absolute_error: f64) {
        if self.rows.is_multiple_of(self.rows_each) {
            if self.stretches.len() == ROW_STRETCHES_MAX {
                self.coarsen();
            }
            self.stretches.push(Moments::default());
        }
        self.rows += 1;
        if let Some(moments) = self.stretches.last_mut() {
            moments.push(absolute_error);
        }
    }

    fn coarsen(&mut self) {
        self.rows_each *= 2;
        let pairs = self.stretches.chunks(2).map(|pair| {
            pair.iter().fold(Moments::default(), |mut united, other| {
                united.merge(other);
                united
            })
        });
        self.stretches = pairs.collect();
    }

    pub(super) fn timeline(&self) -> Timeline {
        let firsts = (1..).step_by(usize::try_from(self.rows_each).unwrap_or(usize::MAX));
        let stretches = firsts
            .zip(&self.stretches)
            .map(|(from, rows)| Bucket::new(from, rows.n(), rows));
        Timeline {
            from: 1,
            to: self.rows.max(1),
            step: self.rows_each,
            stretches: stretches.collect(),
        }
    }
}
