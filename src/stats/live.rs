//! What the live page shows: figures over all rows and over two windows, the error over time, a sample of predictions
//! against truths, and the worst rows.
//!
//! Promises: memory is bounded by [`Limits`], whatever the stream brings; figures of the last rows are exact; the time
//! window is exact to a sixtieth of its length. The same rows, times and seed give the same view. Deliberately absent: a
//! clock (the caller passes times in), files, and drawing.

mod rate;
mod rows;
mod timeline;

use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, Serializer};

pub use rows::WorstRow;
pub use timeline::{Bucket, Timeline};

use super::{
    Change, Distribution, Drift, Matrix, Moments, Report, Score, Snapshot, moments::as_f64,
};
use crate::task::{Labels, Task, TaskSpec};
use rate::Rate;
use rows::{LastRows, Reservoir, Worst};
use timeline::{RowBuckets, TimeBuckets};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the window by rows.
    pub window_rows: usize,
    /// Length of the window by time, in milliseconds.
    pub window_ms: u64,
    /// Pairs in the sample.
    pub sample_pairs: usize,
    /// Rows in each list of worst rows.
    pub worst_rows: usize,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_rows: 1_000,
            window_ms: 5 * 60 * 1_000,
            sample_pairs: 500,
            worst_rows: 8,
            seed: 0,
        }
    }
}

/// Longer ids are cut off, because a foreign log may have ids of any length.
const ID_BYTES_MAX: usize = 160;

/// The id, cut off after [`ID_BYTES_MAX`] bytes.
fn shortened(id: &str) -> Cow<'_, str> {
    if id.len() <= ID_BYTES_MAX {
        return Cow::Borrowed(id);
    }
    let end = (0..=ID_BYTES_MAX).rev().find(|at| id.is_char_boundary(*at));
    Cow::Owned(format!("{}…", &id[..end.unwrap_or(0)]))
}

/// A row of the log with its time.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The id as text.
    pub id: &'a str,
    /// The true answer.
    pub y_true: f64,
    /// The model's answer.
    pub y_pred: f64,
    /// When it was recorded, in milliseconds since the Unix epoch; `None` if that is not known any more. Such a row counts
    /// everywhere except in figures by time.
    pub at_ms: Option<u64>,
}

impl Observation<'_> {
    /// Truth and prediction for the figures; of labels only whether they are equal, as an error of 0 or 1.
    fn pair(&self, task: Task) -> (f64, f64) {
        match task {
            Task::Regression => (self.y_true, self.y_pred),
            Task::Classification => (0.0, task.error(self.y_true, self.y_pred)),
        }
    }

    fn absolute_error(&self, task: Task) -> f64 {
        match task {
            Task::Regression => (self.y_pred - self.y_true).clamp(-f64::MAX, f64::MAX).abs(),
            Task::Classification => task.error(self.y_true, self.y_pred),
        }
    }
}

/// The error of a naive model that always predicts the mean of the truths before.
///
/// Windows use the mean over the whole log too: a mean that had to be learned again in every window would be a weak
/// baseline and flatter the model.
#[derive(Clone, Copy, Debug, Default)]
struct Baseline {
    rows: u64,
    truth: Moments,
}

impl Baseline {
    /// The absolute error of the naive prediction; none for the first row.
    fn naive_error(&mut self, y_true: f64) -> Option<f64> {
        let naive = (self.rows > 0).then(|| (y_true - self.truth.mean()).abs());
        self.rows += 1;
        self.truth.push(y_true);
        naive.filter(|naive| naive.is_finite())
    }
}

/// A mean, updated value by value.
#[derive(Clone, Copy, Debug, Default)]
struct RunningMean {
    n: u64,
    sum: f64,
}

impl RunningMean {
    fn push(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.n += 1;
            self.sum += value;
        }
    }

    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
    }

    fn get(self) -> Option<f64> {
        Some(self.sum / as_f64(self.n)).filter(|mean| mean.is_finite())
    }
}

/// Collects what a [`View`] shows.
#[derive(Debug)]
pub struct Live {
    limits: Limits,
    task: Task,
    rows: u64,
    last_row_ms: Option<u64>,
    distribution: Distribution,
    baseline: Baseline,
    last_rows: LastRows,
    recent: TimeBuckets,
    rate: Rate,
    history: RowBuckets,
    drift: Drift,
    sample: Reservoir,
    worst: Worst,
}

impl Live {
    /// No rows yet, for a regression.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_task(limits, &TaskSpec::default())
    }

    /// No rows yet.
    #[must_use]
    pub fn with_task(limits: Limits, spec: &TaskSpec) -> Self {
        Self {
            limits,
            task: spec.task,
            rows: 0,
            last_row_ms: None,
            distribution: Distribution::with_task(spec),
            baseline: Baseline::default(),
            last_rows: LastRows::new(limits.window_rows),
            recent: TimeBuckets::new(limits.window_ms),
            rate: Rate::default(),
            history: RowBuckets::default(),
            drift: Drift::default(),
            sample: Reservoir::new(limits.sample_pairs, limits.seed),
            worst: Worst::new(limits.worst_rows, spec.task),
        }
    }

    /// Takes the next row of the log.
    pub fn push(&mut self, row: &Observation<'_>) {
        self.rows += 1;
        let classes = self.distribution.push(row.y_true, row.y_pred);
        let naive = match self.task {
            Task::Regression => self.baseline.naive_error(row.y_true),
            Task::Classification => None,
        };
        self.last_rows.push(row, naive);
        let absolute_error = row.absolute_error(self.task);
        self.history.push(absolute_error);
        self.drift.push(absolute_error, row.at_ms);
        self.sample.push([row.y_true, row.y_pred]);
        self.worst.push(row);
        if let Some(at_ms) = row.at_ms {
            self.last_row_ms = self.last_row_ms.max(Some(at_ms));
            self.recent.push(at_ms, row.pair(self.task), naive, classes);
            self.rate.push(at_ms);
        }
    }

    /// Rows taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// All rows, for the picture.
    #[must_use]
    pub fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    /// Everything as it is now, except [`View::distribution`], which is too expensive for every call.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> View {
        View {
            now_ms,
            task: self.task,
            classification: self.classification(now_ms),
            rows: self.rows,
            last_row_ms: self.last_row_ms,
            rows_per_second: self.rate.rows_per_second(now_ms),
            all_time: self.distribution.report(),
            last_rows: RowWindow {
                rows: self.limits.window_rows,
                report: of_task(self.task, self.last_rows.report(self.task)),
            },
            recent: TimeWindow {
                window_ms: self.limits.window_ms,
                report: of_task(self.task, self.recent.report(now_ms)),
            },
            timeline: self.recent.timeline(now_ms),
            history: self.history.timeline(),
            changes: self.drift.changes(),
            changes_seen: self.drift.changes_seen(),
            sample: self.sample.pairs().to_vec(),
            latest: self.last_rows.latest(LATEST_PAIRS),
            worst: self.worst.rows().to_vec(),
            worst_of_last_rows: self.last_rows.worst(self.limits.worst_rows, self.task),
            distribution: None,
        }
    }
}

impl Live {
    fn classification(&self, now_ms: u64) -> Option<Classification> {
        let classes = self.distribution.classes()?;
        let shape = classes.shape();
        let last_rows = self.last_rows.score(classes.spec());
        Some(Classification {
            labels: classes.spec().labels.clone(),
            all_time: shape.score,
            last_rows,
            recent: classes.score_of(&self.recent.score_counts(now_ms)),
            confusion: shape.confusion,
        })
    }
}

/// For labels, whose error is 0 or 1, leaves out the figures that mean nothing then; the mean is the share of wrong labels.
fn of_task(task: Task, report: Report) -> Report {
    match task {
        Task::Regression => report,
        Task::Classification => report.of_labels(),
    }
}

/// The newest pairs, which are shown in addition to the sample.
const LATEST_PAIRS: usize = 20;

/// Everything that the page shows of the log at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// When, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What predictions are.
    pub task: Task,
    /// Figures of labels; none for a regression.
    pub classification: Option<Classification>,
    /// Rows of the log.
    pub rows: u64,
    /// When the newest row was recorded, if that is known.
    pub last_row_ms: Option<u64>,
    /// Over the last ten seconds, or since the first row where that is less.
    pub rows_per_second: f64,
    /// Over the whole log.
    pub all_time: Report,
    /// Over the last rows.
    pub last_rows: RowWindow,
    /// Over the last minutes.
    pub recent: TimeWindow,
    /// The absolute error over the last minutes, by time.
    pub timeline: Timeline,
    /// The absolute error over the whole log, by row number.
    pub history: Timeline,
    /// Where the error changed: the newest changes, oldest first.
    pub changes: Vec<Change>,
    /// How often it changed in all.
    pub changes_seen: u64,
    /// A uniform sample of `[y_true, y_pred]` over the whole log.
    pub sample: Vec<[f64; 2]>,
    /// The newest `[y_true, y_pred]`, oldest first.
    pub latest: Vec<[f64; 2]>,
    /// Largest absolute errors of the whole log, worst first.
    pub worst: Vec<WorstRow>,
    /// Largest absolute errors among the last rows, worst first.
    pub worst_of_last_rows: Vec<WorstRow>,
    /// What the picture shows; it may be slightly older than the rest.
    #[serde(serialize_with = "inner")]
    pub distribution: Option<Arc<Snapshot>>,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn inner<S: Serializer>(
    snapshot: &Option<Arc<Snapshot>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    snapshot
        .as_deref()
        .map(|snapshot| &snapshot.shapes)
        .serialize(serializer)
}

/// How often labels are right.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Classification {
    /// The labels, if they are known. A label in text is a number everywhere else: its index here.
    pub labels: Option<Labels>,
    /// Over the whole log.
    pub all_time: Score,
    /// Over the last rows.
    pub last_rows: Score,
    /// Over the last minutes.
    pub recent: Score,
    /// Over the whole log.
    pub confusion: Matrix,
}

impl Classification {
    /// The name of a label.
    #[must_use]
    pub fn name(&self, label: f64) -> String {
        TaskSpec::of_labels(self.labels.clone()).name(label)
    }
}

/// Figures over the last rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowWindow {
    /// How many rows the window takes.
    pub rows: usize,
    /// The figures; the baseline's mean is that of the whole log.
    #[serde(flatten)]
    pub report: Report,
}

/// Figures over the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimeWindow {
    /// The length of the window in milliseconds.
    pub window_ms: u64,
    /// The figures; the baseline's mean is that of the whole log.
    #[serde(flatten)]
    pub report: Report,
}

#[cfg(test)]
mod tests;
