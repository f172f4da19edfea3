//! Where the error changed: adaptive windowing (ADWIN, Bifet and Gavaldà 2007) over the absolute error.
//!
//! The rows since the last change are kept as an exponential histogram of their means. After every block of
//! [`BLOCK_ROWS`] rows each of its cuts is tried: where the means before and after differ by more than Bernstein's bound
//! allows at confidence [`DELTA`], the error has changed there, and watching begins anew.
//!
//! Promises: memory is logarithmic in the number of rows (about 200 buckets at most) plus [`CHANGES_MAX`] changes; changes
//! for the better and for the worse are found; neither the scale nor heavy tails matter, because an error `e` counts as
//! `e / (e + s)`, which is between 0 and 1, with `s` the median of the first block. The bound holds for any distribution, so
//! false alarms are rarer than it says: in the tests, a million rows of a steady stream, of three shapes, raise none. The
//! same rows give the same changes; nothing is random. The price: a change must last for some blocks, and one that does not
//! change the mean of `e / (e + s)`, such as a wider spread alone, is not found.

use std::collections::VecDeque;

use serde::Serialize;

use super::{
    moments::{Moments, as_f64},
    select,
};

/// Rows in a block.
const BLOCK_ROWS: u64 = 32;

/// Confidence of each test; smaller means fewer and later alarms.
const DELTA: f64 = 1e-4;

/// Changes that are remembered, the newest ones.
const CHANGES_MAX: usize = 16;

/// Buckets of equal size before two of them are merged.
const BUCKETS_EACH: usize = 5;

/// The error before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The first row (from 1) after it, exact to a block or more.
    pub row: u64,
    /// When that row was recorded, in milliseconds since the Unix epoch; `None` if unknown.
    pub at_ms: Option<u64>,
    /// Mean absolute error from the previous change to this one.
    pub mae_before: f64,
    /// Mean absolute error from this change until it was noticed.
    pub mae_after: f64,
}

/// Watches one stream of absolute errors.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    rows: u64,
    scale: Option<f64>,
    /// Rows of the block that is being filled.
    block: Vec<f64>,
    block_at_ms: Option<u64>,
    /// Oldest first; levels never increase.
    buckets: VecDeque<Bucket>,
    changes: VecDeque<Change>,
    changes_seen: u64,
}

/// `BLOCK_ROWS << level` rows.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u32,
    first_row: u64,
    at_ms: Option<u64>,
    /// Of the errors mapped to 0 to 1.
    normalized: Moments,
    absolute: Moments,
}

impl Drift {
    /// Takes the next row's absolute error; one that is not finite only counts as a row.
    pub fn push(&mut self, absolute_error: f64, at_ms: Option<u64>) {
        self.rows += 1;
        if !absolute_error.is_finite() {
            return;
        }
        if self.block.is_empty() {
            self.block_at_ms = at_ms;
        }
        self.block.push(absolute_error);
        if self.block.len() as u64 == BLOCK_ROWS {
            self.close_block();
        }
    }

    /// The newest changes, oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.changes.iter().copied().collect()
    }

    /// All changes ever, also those that are not remembered any more.
    #[must_use]
    pub fn changes_seen(&self) -> u64 {
        self.changes_seen
    }

    fn close_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        let scale = *self.scale.get_or_insert_with(|| scale_of(&block));
        let mut bucket = Bucket {
            level: 0,
            first_row: self.rows + 1 - BLOCK_ROWS,
            at_ms: self.block_at_ms,
            normalized: Moments::default(),
            absolute: Moments::default(),
        };
        for &error in &block {
            bucket
                .normalized
                .push(error / (error + scale).min(f64::MAX));
            bucket.absolute.push(error);
        }
        self.buckets.push_back(bucket);
        self.merge_buckets();
        if let Some(change) = self.find_change() {
            self.note(change);
        }
        // The buffer is used again.
        self.block = block;
        self.block.clear();
    }

    /// Merges the two oldest buckets of each size of which there are too many.
    fn merge_buckets(&mut self) {
        let mut end = self.buckets.len();
        while let Some(level) = end.checked_sub(1).map(|last| self.buckets[last].level) {
            let first = self.buckets.partition_point(|bucket| bucket.level > level);
            if end - first <= BUCKETS_EACH {
                return;
            }
            if let Some(younger) = self.buckets.remove(first + 1) {
                let older = &mut self.buckets[first];
                older.normalized.merge(&younger.normalized);
                older.absolute.merge(&younger.absolute);
                older.level += 1;
            }
            end = first + 1;
        }
    }

    /// The cut whose two sides differ most beyond what chance allows.
    fn find_change(&self) -> Option<Change> {
        let mut after = Moments::default();
        let mut strongest = (1.0, None);
        let all = merged(self.buckets.iter().map(|bucket| &bucket.normalized));
        // From the newest bucket on, so that what is before a cut is all minus what is after it.
        for cut in (1..self.buckets.len()).rev() {
            after.merge(&self.buckets[cut].normalized);
            let strength = strength(&all, &after);
            if strength > strongest.0 {
                strongest = (strength, Some(cut));
            }
        }
        let cut = strongest.1?;
        let absolute = |buckets: std::ops::Range<usize>| {
            merged(self.buckets.range(buckets).map(|bucket| &bucket.absolute)).mean()
        };
        let first = self.buckets[cut];
        let (mae_before, mae_after) = (absolute(0..cut), absolute(cut..self.buckets.len()));
        Some(Change {
            row: first.first_row,
            at_ms: first.at_ms,
            mae_before: bounded(mae_before),
            mae_after: bounded(mae_after),
        })
    }

    fn note(&mut self, change: Change) {
        self.changes_seen += 1;
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.buckets.clear();
        self.scale = None;
    }
}

/// The difference of the means before and after a cut, in units of the largest that chance allows.
fn strength(all: &Moments, after: &Moments) -> f64 {
    let (n, n_after) = (as_f64(all.n()), as_f64(after.n()));
    let n_before = n - n_after;
    let mean_before = (all.mean() * n - after.mean() * n_after) / n_before;
    let reciprocal = 1.0 / n_before + 1.0 / n_after;
    let confidence = (2.0 * n.ln() / DELTA).ln();
    let variance = all.m2() / n;
    let allowed =
        (2.0 * reciprocal * variance * confidence).sqrt() + 2.0 / 3.0 * reciprocal * confidence;
    (mean_before - after.mean()).abs() / allowed
}

/// Keeps a mean of huge errors finite.
fn bounded(mean: f64) -> f64 {
    if mean.is_nan() {
        return f64::MAX;
    }
    mean.clamp(0.0, f64::MAX)
}

fn merged<'a>(parts: impl Iterator<Item = &'a Moments>) -> Moments {
    parts.fold(Moments::default(), |mut all, part| {
        all.merge(part);
        all
    })
}

/// The median; if at least half of the errors are exactly 0, the largest.
fn scale_of(block: &[f64]) -> f64 {
    let median = select::quantile(block, 0.5).filter(|median| *median > 0.0);
    let largest = block.iter().copied().fold(0.0, f64::max);
    median.unwrap_or(if largest > 0.0 {
        largest
    } else {
        f64::MIN_POSITIVE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniformly distributed numbers from 0 to 1.
    fn uniforms(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from((state >> 33) as u32) / f64::from(1_u32 << 31)
        }
    }

    fn watch(errors: impl Iterator<Item = f64>) -> Drift {
        let mut drift = Drift::default();
        for (row, error) in (1_000..).zip(errors) {
            drift.push(error, Some(row));
        }
        drift
    }

    #[test]
    fn a_million_rows_of_a_steady_stream_raise_no_alarm_whatever_their_shape() {
        let shapes: [fn(f64) -> f64; 3] = [
            |u| u * 50.0,
            |u| -40.0 * u.max(1e-12).ln(),
            // Without a mean: one row in a thousand is worse than all others together.
            |u| 1.0 / (u * u).max(1e-18),
        ];
        for (seed, shape) in (1..).zip(shapes) {
            let mut u = uniforms(seed);
            let drift = watch((0..1_000_000).map(|_| shape(u())));
            assert_eq!(drift.changes(), [], "shape {seed}");
            assert!(drift.buckets.len() < 200);
        }
    }

    #[test]
    fn a_change_is_found_near_its_row_with_the_error_on_both_sides_of_it() {
        for (before, after) in [(40.0, 60.0), (60.0, 40.0), (1e-9, 1e-8), (1e12, 3.0)] {
            let mut u = uniforms(7);
            let errors = (0..20_000).map(|row| {
                let mean = if row < 12_345 { before } else { after };
                -mean * u().max(1e-12).ln()
            });
            let changes = watch(errors).changes();
            assert_eq!(changes.len(), 1, "{before} {after} {changes:?}");
            let change = changes[0];
            assert!(change.row.abs_diff(12_346) <= 1_024, "{change:?}");
            assert_eq!(change.at_ms, Some(999 + change.row));
            assert!((change.mae_before / before - 1.0).abs() < 0.1, "{change:?}");
            let between = (change.mae_after - before) / (after - before);
            assert!((0.5..1.5).contains(&between), "{change:?}");
        }
    }

    #[test]
    fn a_perfect_model_that_begins_to_err_is_noticed_and_the_reverse() {
        let right = || std::iter::repeat_n(0.0, 5_000);
        let wrong = || std::iter::repeat_n(2.5, 5_000);
        for errors in [
            right().chain(wrong()).collect::<Vec<_>>(),
            wrong().chain(right()).collect(),
        ] {
            let changes = watch(errors.into_iter()).changes();
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert!(changes[0].row.abs_diff(5_001) <= BLOCK_ROWS);
        }
        assert_eq!(watch(right()).changes_seen(), 0);
    }

    #[test]
    fn only_the_newest_changes_are_remembered_and_all_are_counted() {
        let errors = (0..40_u32).flat_map(|turn| {
            let error = if turn % 2 == 0 { 1.0 } else { 9.0 };
            std::iter::repeat_n(error, 1_000)
        });
        let drift = watch(errors);
        assert_eq!(drift.changes_seen(), 39);
        assert_eq!(drift.changes().len(), CHANGES_MAX);
        assert!(drift.changes().is_sorted_by_key(|change| change.row));
    }

    #[test]
    fn huge_and_odd_errors_give_finite_numbers() {
        let odd = [
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
            0.0,
            1e300,
            f64::MIN_POSITIVE,
        ];
        let drift = watch((0..60_000).map(|row| odd[(row * 7 + row / 20_000) % odd.len()]));
        for change in drift.changes() {
            assert!(change.mae_before.is_finite() && change.mae_after.is_finite());
        }
    }
}
