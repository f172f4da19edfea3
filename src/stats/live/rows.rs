//! Rows that are stored: the last ones, a sample of all, and the worst.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use super::{Observation, RunningMean, shortened};
use crate::{
    stats::{ClassCounts, Report, Score, Summary},
    task::{Task, TaskSpec},
};

/// A row with a large error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstRow {
    /// Its id.
    pub id: String,
    /// The true answer.
    pub y_true: f64,
    /// The model's answer.
    pub y_pred: f64,
    /// Their distance; for labels 1.
    pub absolute_error: f64,
}

/// The rows with the largest absolute errors, worst first; of equal ones the earlier row stays. For labels, whose errors
/// are all alike, the newest wrong ones, newest first.
#[derive(Debug)]
pub(super) struct Worst {
    rows_max: usize,
    task: Task,
    rows: Vec<WorstRow>,
}

impl Worst {
    pub(super) fn new(rows_max: usize, task: Task) -> Self {
        Self {
            rows_max,
            task,
            rows: Vec::with_capacity(rows_max + 1),
        }
    }

    pub(super) fn push(&mut self, row: &Observation<'_>) {
        let absolute_error = row.absolute_error(self.task);
        if self.task == Task::Classification {
            if absolute_error > 0.0 {
                self.insert(0, row, absolute_error);
            }
            return;
        }
        let is_full = self.rows.len() >= self.rows_max;
        if is_full
            && self
                .rows
                .last()
                .is_none_or(|least| least.absolute_error >= absolute_error)
        {
            return;
        }
        let place = self
            .rows
            .partition_point(|other| other.absolute_error >= absolute_error);
        self.insert(place, row, absolute_error);
    }

    fn insert(&mut self, place: usize, row: &Observation<'_>, absolute_error: f64) {
        let worst = WorstRow {
            id: shortened(row.id).into_owned(),
            y_true: row.y_true,
            y_pred: row.y_pred,
            absolute_error,
        };
        self.rows.insert(place, worst);
        self.rows.truncate(self.rows_max);
    }

    pub(super) fn rows(&self) -> &[WorstRow] {
        &self.rows
    }
}

#[derive(Debug, Default)]
struct StoredRow {
    id: String,
    y_true: f64,
    y_pred: f64,
    naive: Option<f64>,
}

impl StoredRow {
    fn observation(&self) -> Observation<'_> {
        Observation {
            id: &self.id,
            y_true: self.y_true,
            y_pred: self.y_pred,
            at_ms: None,
        }
    }
}

/// The last rows.
#[derive(Debug)]
pub(super) struct LastRows {
    rows_max: usize,
    rows: VecDeque<StoredRow>,
}

impl LastRows {
    pub(super) fn new(rows_max: usize) -> Self {
        Self {
            rows_max: rows_max.max(1),
            rows: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, row: &Observation<'_>, naive: Option<f64>) {
        // The new row reuses the buffer of the one that leaves.
        let mut stored = if self.rows.len() < self.rows_max {
            StoredRow::default()
        } else {
            self.rows.pop_front().unwrap_or_default()
        };
        stored.id.clear();
        stored.id.push_str(&shortened(row.id));
        (stored.y_true, stored.y_pred, stored.naive) = (row.y_true, row.y_pred, naive);
        self.rows.push_back(stored);
    }

    pub(super) fn report(&self, task: Task) -> Report {
        let (mut all, mut naive) = (Summary::new(), RunningMean::default());
        for stored in &self.rows {
            let (y_true, y_pred) = stored.observation().pair(task);
            all.push(y_true, y_pred);
            naive.push(stored.naive);
        }
        Report {
            baseline_mae: naive.get(),
            ..all.report()
        }
    }

    pub(super) fn latest(&self, count: usize) -> Vec<[f64; 2]> {
        let skipped = self.rows.len().saturating_sub(count);
        self.rows
            .iter()
            .skip(skipped)
            .map(|stored| [stored.y_true, stored.y_pred])
            .collect()
    }

    /// How often labels are right.
    pub(super) fn score(&self, spec: &TaskSpec) -> Score {
        let Some(mut counts) = ClassCounts::new(spec) else {
            return Score::default();
        };
        for stored in &self.rows {
            counts.push(stored.y_true, stored.y_pred);
        }
        counts.shape().score
    }

    pub(super) fn worst(&self, count: usize, task: Task) -> Vec<WorstRow> {
        let mut worst = Worst::new(count, task);
        self.rows
            .iter()
            .for_each(|stored| worst.push(&stored.observation()));
        worst.rows
    }
}

/// A uniform sample of all pairs (algorithm R).
#[derive(Debug)]
pub(super) struct Reservoir {
    pairs_max: usize,
    seen: u64,
    pairs: Vec<[f64; 2]>,
    rng: ChaCha8Rng,
}

impl Reservoir {
    pub(super) fn new(pairs_max: usize, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self {
            pairs_max,
            seen: 0,
            pairs: Vec::new(),
            rng,
        }
    }

    pub(super) fn push(&mut self, pair: [f64; 2]) {
        self.seen += 1;
        if self.pairs.len() < self.pairs_max {
            self.pairs.push(pair);
            return;
        }
        let place = usize::try_from(self.rng.random_range(0..self.seen)).unwrap_or(usize::MAX);
        if let Some(old) = self.pairs.get_mut(place) {
            *old = pair;
        }
    }

    pub(super) fn pairs(&self) -> &[[f64; 2]] {
        &self.pairs
    }
}
