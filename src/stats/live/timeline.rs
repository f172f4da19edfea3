//! The absolute error over time and along the log, in a bounded number of buckets.

use std::collections::VecDeque;

use serde::Serialize;

use super::RunningMean;
use crate::stats::{ClassPair, Moments, Report, ScoreCounts, Summary, mean_interval};

/// Buckets of a time window.
const TIME_BUCKETS: u64 = 60;

/// Most buckets of a log; when there are more, neighbours are merged and buckets get twice as long.
const ROW_BUCKETS_MAX: usize = 128;

/// The error over time (in milliseconds since the Unix epoch) or along the log (in row numbers from 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Where the first bucket could begin.
    pub from: u64,
    /// Where the last bucket could end.
    pub to: u64,
    /// Length of a bucket, in the same unit.
    pub step: u64,
    /// Oldest first; buckets without rows are absent.
    #[serde(rename = "stretches")]
    pub buckets: Vec<Bucket>,
}

/// Rows of one bucket.
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
pub(super) struct TimeBuckets {
    step_ms: u64,
    /// By number of the step since the epoch, ascending; at most [`TIME_BUCKETS`] + 1.
    buckets: VecDeque<(u64, Rows)>,
}

#[derive(Debug, Default)]
struct Rows {
    summary: Summary,
    naive: RunningMean,
    score_counts: ScoreCounts,
}

impl TimeBuckets {
    pub(super) fn new(window_ms: u64) -> Self {
        let step_ms = (window_ms / TIME_BUCKETS).max(1);
        Self {
            step_ms,
            buckets: VecDeque::new(),
        }
    }

    /// Rows may be slightly out of order; those older than the window are ignored.
    pub(super) fn push(
        &mut self,
        at_ms: u64,
        (y_true, y_pred): (f64, f64),
        naive: Option<f64>,
        classes: Option<ClassPair>,
    ) {
        let step = at_ms / self.step_ms;
        let newest = self
            .buckets
            .back()
            .map_or(step, |(newest, _)| step.max(*newest));
        while self
            .buckets
            .front()
            .is_some_and(|(oldest, _)| oldest + TIME_BUCKETS < newest)
        {
            self.buckets.pop_front();
        }
        if step + TIME_BUCKETS < newest {
            return;
        }
        let place = self.buckets.partition_point(|(other, _)| *other < step);
        if self
            .buckets
            .get(place)
            .is_none_or(|(other, _)| *other != step)
        {
            self.buckets.insert(place, (step, Rows::default()));
        }
        if let Some((_, rows)) = self.buckets.get_mut(place) {
            rows.summary.push(y_true, y_pred);
            rows.naive.push(naive);
            if let Some(classes) = classes {
                rows.score_counts.push(classes);
            }
        }
    }

    fn within(&self, now_ms: u64) -> impl Iterator<Item = &(u64, Rows)> {
        let oldest = (now_ms / self.step_ms).saturating_sub(TIME_BUCKETS - 1);
        self.buckets.iter().filter(move |(step, _)| *step >= oldest)
    }

    pub(super) fn report(&self, now_ms: u64) -> Report {
        let (mut all, mut naive) = (Summary::new(), RunningMean::default());
        for (_, rows) in self.within(now_ms) {
            all.merge(&rows.summary);
            naive.add(rows.naive);
        }
        Report {
            baseline_mae: naive.get(),
            ..all.report()
        }
    }

    /// Counts of right and wrong labels.
    pub(super) fn score_counts(&self, now_ms: u64) -> ScoreCounts {
        let mut all = ScoreCounts::default();
        for (_, rows) in self.within(now_ms) {
            all.merge(&rows.score_counts);
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
            from: newest.saturating_sub(TIME_BUCKETS - 1) * self.step_ms,
            to: (newest + 1) * self.step_ms,
            step: self.step_ms,
            buckets: self
                .within(now_ms)
                .filter(|(_, rows)| rows.summary.n() > 0)
                .map(bucket)
                .collect(),
        }
    }
}

/// The error along the whole log; the longer the log, the coarser the buckets.
#[derive(Debug)]
pub(super) struct RowBuckets {
    rows_each: u64,
    rows: u64,
    buckets: Vec<Moments>,
}

impl Default for RowBuckets {
    fn default() -> Self {
        Self {
            rows_each: 1,
            rows: 0,
            buckets: Vec::new(),
        }
    }
}

impl RowBuckets {
    pub(super) fn push(&mut self, absolute_error: f64) {
        if self.rows.is_multiple_of(self.rows_each) {
            if self.buckets.len() == ROW_BUCKETS_MAX {
                self.coarsen();
            }
            self.buckets.push(Moments::default());
        }
        self.rows += 1;
        if let Some(moments) = self.buckets.last_mut() {
            moments.push(absolute_error);
        }
    }

    fn coarsen(&mut self) {
        self.rows_each *= 2;
        let pairs = self.buckets.chunks(2).map(|pair| {
            pair.iter().fold(Moments::default(), |mut merged, other| {
                merged.merge(other);
                merged
            })
        });
        self.buckets = pairs.collect();
    }

    pub(super) fn timeline(&self) -> Timeline {
        let firsts = (1..).step_by(usize::try_from(self.rows_each).unwrap_or(usize::MAX));
        let buckets = firsts
            .zip(&self.buckets)
            .map(|(from, rows)| Bucket::new(from, rows.n(), rows));
        Timeline {
            from: 1,
            to: self.rows.max(1),
            step: self.rows_each,
            buckets: buckets.collect(),
        }
    }
}
