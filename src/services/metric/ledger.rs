//! The ledger: the join, and the order in which its results become durable.
//!
//! # Commit
//! The ledger takes in a group of deliveries; then [`Ledger::commit`] makes it durable and names the deliveries that may
//! be acknowledged:
//! 1. rows are appended to the log (and lines to `unmatched.csv` and `corrections.csv`), one sync a file;
//! 2. when needed, one transaction of the store: halves that stay pending are inserted, matched ones removed, and the
//!    lengths of the files and the counters are saved;
//! 3. the caller acknowledges the deliveries that were named.
//!
//! The CSV files are the write-ahead log: a line that is complete in them has happened, whether or not the store knows
//! it yet. When the ledger is opened, everything beyond the saved lengths is replayed (`super::recovery`). So step 2 can
//! be skipped for a group whose halves all matched, which is the common case and costs one sync in all.
//!
//! # Exactly once
//! A crash during step 1 leaves a torn tail, which the next start cuts off; nothing was acknowledged, so both halves are
//! delivered again. After step 1, the row is replayed, and halves that come again are duplicates. After step 2, the same.
//! So a row can be neither lost nor doubled, as long as a redelivery comes within the bounds of what is remembered
//! (`seen_max`, `seen_age_max_ms`).
//!
//! # Failure
//! After an error nothing in memory is trusted: the ledger is dropped and opened again from what is on disk.

use std::sync::Arc;

use super::{
    config::{Config, LabelPolicy},
    error::MetricError,
    files::{Layout, SideFile, UnmatchedLine},
    join::{Join, Outcome, UnmatchedHalf},
    loss_tracker::LossTracker,
    partition,
    pending::{Key, Kind},
    progress::{Progress, Reason},
    run_rows::RunRows,
    store::{Checkpoint, Store, StoredHalf},
    unstored::UnstoredHalves,
};
use crate::{
    clock::UnixMs,
    message::{Probabilities, RecordId},
    metric_log::{Disk, LogError, RealDisk, Row, Scan, Writer},
    stats::LogLosses,
    task::TaskSpec,
};

/// Rows of a commit that are logged one by one; larger groups are logged as a count.
pub const ROWS_LOGGED_MAX: usize = 16;
/// Matched halves that may wait for their removal from the store.
const REMOVED_MAX: usize = 50_000;
/// Unmatched halves that leave in one commit at most, so that a mass expiry does not stall the stream.
const UNMATCHED_MAX: usize = 20_000;
const DAY_MS: u64 = 86_400_000;

/// What a commit made durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// Deliveries that may be acknowledged now.
    pub settled: Vec<u64>,
    /// How many rows were recorded.
    pub recorded: usize,
    /// The rows, as far as they are to be logged one by one.
    pub rows: Vec<Row>,
    /// When the ids of the rows of this run were created, in microseconds since the Unix epoch.
    pub minted_us: Vec<u64>,
}

/// How much of what is only in memory a commit writes to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Halves that have waited in memory for long enough, and counters if it is time.
    Due,
    /// Everything: before a stop.
    All,
}

/// The join with everything durable around it. Its calls block, so they do not belong on the runtime's threads.
#[derive(Debug)]
pub struct Ledger {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) config: Config,
    pub(super) spec: TaskSpec,
    pub(super) layout: Layout,
    pub(super) join: Join,
    pub(super) unstored: UnstoredHalves,
    pub(super) loss_tracker: LossTracker,
    pub(super) store: Store,
    pub(super) log: Writer,
    pub(super) unmatched: SideFile,
    pub(super) corrections: SideFile,
    pub(super) adopted: Adopted,
    pub(super) rotation: Rotation,
    /// The last checkpoint in the store.
    pub(super) saved: Checkpoint,
    pub(super) saved_ms: UnixMs,
    /// Stored halves that matched or left, to be removed.
    pub(super) removed: Vec<Key>,
    /// Stored halves with a corrected value.
    pub(super) rewritten: Vec<StoredHalf>,
    /// Halves up to this key came again in another delivery, so they must be stored before that one is settled.
    pub(super) store_through: Key,
    /// What the next commit will have made durable.
    pub(super) committed: Committed,
    pub(super) run_rows: RunRows,
}

/// Lines of the files beyond those that the ledger counted: there before it began or, if negative, removed by somebody
/// since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adopted {
    pub(super) rows: i64,
    pub(super) unmatched: i64,
}

/// Which part of the log is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// Older parts that are there.
    pub(super) parts: u32,
    /// Number that the live file will have as an older part.
    pub(super) part: u32,
    /// Day of the live file, counted from the epoch.
    pub(super) day: u64,
}

impl Ledger {
    /// Announces a delivery by a number that is larger than all before.
    pub fn begin(&mut self, delivery: u64) {
        self.unstored.begin(delivery);
    }

    /// Takes in a half. True when the sender must be informed that its label was refused.
    pub fn accept(
        &mut self,
        delivery: u64,
        kind: Kind,
        id: RecordId,
        value: f64,
        now_ms: UnixMs,
    ) -> bool {
        if !partition::is_mine(&id, &self.config) {
            return false;
        }
        match self.join.accept(&id, kind, value, now_ms) {
            Outcome::Pending(key) => {
                self.loss_tracker.keep_incoming(key);
                self.unstored.push(key, id, value, delivery);
            }
            Outcome::Matched {
                y_true,
                y_pred,
                partner,
            } => {
                let row = Row::with_task(id, y_true, y_pred, self.spec.task);
                self.record(row, partner, now_ms);
            }
            Outcome::Duplicate(waiting) => {
                self.store_through = self.store_through.max(waiting.unwrap_or_default());
            }
            Outcome::Replaced(key) => self.replace(key, id, value),
            Outcome::Corrected { y_true, y_pred } => {
                Row::with_task(id, y_true, y_pred, self.spec.task)
                    .push_line(self.corrections.buffer());
            }
            Outcome::Late => UnmatchedLine {
                id,
                kind,
                value,
                received_ms: now_ms,
                reason: Reason::Late,
            }
            .push_line(self.unmatched.buffer()),
            Outcome::Conflicting => {}
            Outcome::Refused => return true,
        }
        false
    }

    /// Takes in a classifier's prediction with its probabilities.
    pub fn accept_with_probabilities(
        &mut self,
        delivery: u64,
        id: RecordId,
        y_pred: f64,
        probabilities: Probabilities,
        now_ms: UnixMs,
    ) -> bool {
        self.loss_tracker.set_incoming(probabilities);
        let is_refused = self.accept(delivery, Kind::Prediction, id, y_pred, now_ms);
        self.loss_tracker.clear_incoming();
        is_refused
    }

    /// Whether [`Ledger::accept`] can return true.
    #[must_use]
    pub fn refuses_labels(&self) -> bool {
        self.config.label_policy == LabelPolicy::Reject
    }

    /// Counts records that could not be used; a whole frame counts as one.
    pub fn count_malformed(&mut self, number: u64) {
        self.join.count_malformed(number);
    }

    /// Makes everything taken in durable.
    ///
    /// # Errors
    /// From the disk; the ledger must then be dropped and opened again.
    pub fn commit(&mut self, now_ms: UnixMs, flush: Flush) -> Result<Committed, MetricError> {
        self.join.forget(now_ms);
        self.release_unmatched(now_ms)?;
        let due = match flush {
            Flush::All => self.unstored.take_due(Key(u64::MAX), 0, 0),
            Flush::Due => {
                let before_ms = now_ms.saturating_sub(self.config.hold_ms);
                self.unstored
                    .take_due(self.store_through, before_ms, self.config.hold_max)
            }
        };
        self.log.flush()?;
        self.unmatched.flush(&*self.disk)?;
        self.corrections.flush(&*self.disk)?;
        if self.needs_store(&due, flush, now_ms) {
            self.save(due, now_ms)?;
        }
        if self.needs_rotation(now_ms) {
            self.rotate(now_ms)?;
        }
        self.committed.settled = self.unstored.settled();
        Ok(std::mem::take(&mut self.committed))
    }

    /// When [`Ledger::commit`] will have something to do even if nothing more arrives.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<UnixMs> {
        let flush = self
            .unstored
            .oldest_ms()
            .map(|at| at.saturating_add(self.config.hold_ms).saturating_add(1));
        let is_saved = self.checkpoint() == self.saved && self.removed.is_empty();
        let save = (!is_saved).then(|| self.saved_ms.saturating_add(self.config.checkpoint_ms));
        let midnight = (self.config.rotate_daily && !self.log.is_bare())
            .then(|| self.rotation.day.saturating_add(1).saturating_mul(DAY_MS));
        [flush, save, midnight, self.join.expiry_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            counters: self.join.counters,
            pending: self.join.pending() as u64,
            rows: self.rows(),
            rows_of_run: self.run_rows.count(),
            log_bytes: self.log.durable(),
            label_delay_p50_ms: self.join.delays().quantile(0.5),
            label_delay_p95_ms: self.join.delays().quantile(0.95),
            row_latency_us: None,
            span_us: None,
            log_loss: self.loss_tracker.losses().map(LogLosses::snapshot),
            failing: None,
        }
    }

    /// Goes on counting the rows of the run after the ledger was opened again within one process: the one before had
    /// reported `rows` rows in all, `rows_of_run` of the run.
    pub fn resume_run(&mut self, rows: u64, rows_of_run: u64) {
        let unreported = self.rows().saturating_sub(rows);
        self.run_rows.resume(rows_of_run, unreported);
    }

    /// How many finished ids are remembered.
    #[must_use]
    pub fn seen_ids(&self) -> usize {
        self.join.seen_ids()
    }

    fn rows(&self) -> u64 {
        self.join
            .counters
            .matched
            .saturating_add_signed(self.adopted.rows)
    }

    fn record(&mut self, row: Row, partner: Key, now_ms: UnixMs) {
        let is_stored = self.unstored.take(partner).is_none();
        if is_stored {
            self.removed.push(partner);
        }
        let store = is_stored.then_some(&self.store);
        self.loss_tracker.record(&row, partner, store, now_ms);
        row.push_line(self.log.buffer());
        let committed = &mut self.committed;
        committed.recorded += 1;
        if self.run_rows.record(&row.id) {
            committed.minted_us.extend(row.id.minted_us());
        }
        if committed.rows.len() <= ROWS_LOGGED_MAX || tracing::enabled!(tracing::Level::DEBUG) {
            committed.rows.push(row);
        }
    }

    fn replace(&mut self, key: Key, id: RecordId, value: f64) {
        if self.unstored.set_value(key, value) {
            self.store_through = self.store_through.max(key);
        } else {
            self.rewritten.push(StoredHalf { key, id, value });
        }
    }

    /// Writes halves that expire or are evicted to `unmatched.csv`.
    fn release_unmatched(&mut self, now_ms: UnixMs) -> Result<(), MetricError> {
        let mut stored = Vec::new();
        for _ in 0..UNMATCHED_MAX {
            let Some(unmatched) = self.join.pop_unmatched(now_ms) else {
                break;
            };
            match self.unstored.take(unmatched.key) {
                Some(id) => self.push_unmatched(id, unmatched),
                None => stored.push(unmatched),
            }
        }
        if stored.is_empty() {
            return Ok(());
        }
        // The ids of these are in the store only.
        let keys: Vec<Key> = stored.iter().map(|unmatched| unmatched.key).collect();
        let halves = self.store.halves(&keys)?;
        for (unmatched, half) in stored.into_iter().zip(halves) {
            self.push_unmatched(half.id, unmatched);
            self.removed.push(unmatched.key);
        }
        Ok(())
    }

    fn push_unmatched(
        &mut self,
        id: RecordId,
        UnmatchedHalf { key, value, reason }: UnmatchedHalf,
    ) {
        UnmatchedLine {
            id,
            kind: key.kind(),
            value,
            received_ms: key.received_ms(),
            reason,
        }
        .push_line(self.unmatched.buffer());
        self.loss_tracker.forget(key);
    }

    fn needs_store(&self, due: &[StoredHalf], flush: Flush, now_ms: UnixMs) -> bool {
        let must =
            !due.is_empty() || !self.rewritten.is_empty() || self.removed.len() > REMOVED_MAX;
        let is_time = flush == Flush::All
            || now_ms >= self.saved_ms.saturating_add(self.config.checkpoint_ms);
        must || (is_time && (self.checkpoint() != self.saved || !self.removed.is_empty()))
    }

    pub(super) fn save(
        &mut self,
        mut inserted: Vec<StoredHalf>,
        now_ms: UnixMs,
    ) -> Result<(), MetricError> {
        inserted.append(&mut self.rewritten);
        self.removed.sort_unstable();
        let checkpoint = self.checkpoint();
        let losses = self
            .loss_tracker
            .take_for_store(inserted.iter().map(|half| half.key));
        self.store
            .commit(&inserted, &self.removed, &checkpoint, losses.as_ref())?;
        self.removed.clear();
        self.saved = checkpoint;
        self.saved_ms = now_ms;
        Ok(())
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut counters = self.join.counters;
        // What is only in memory is delivered again after a crash, so the saved counters must not include it.
        counters.received -= self.unstored.len();
        Checkpoint {
            counters,
            adopted: self.adopted.rows,
            unmatched_adopted: self.adopted.unmatched,
            parts: self.rotation.parts,
            part: self.rotation.part,
            day: self.rotation.day,
            log_bytes: self.log.durable(),
            unmatched_bytes: self.unmatched.durable(),
            corrections_bytes: self.corrections.durable(),
            last_key: self.unstored.stored_through().0,
            partitions: self.config.partitions,
            partition: self.config.partition,
        }
    }

    fn needs_rotation(&self, now_ms: UnixMs) -> bool {
        let is_large =
            self.config.rotate_bytes > 0 && self.log.durable() >= self.config.rotate_bytes;
        let is_old = self.config.rotate_daily && day_of(now_ms) > self.rotation.day;
        (is_large || is_old) && !self.log.is_bare()
    }

    /// The rename is atomic and fixes the number of the part; the next start finds it by its name ([`super::recovery`]).
    fn rotate(&mut self, now_ms: UnixMs) -> Result<(), MetricError> {
        let live = self.layout.log.live();
        let part = self.layout.log.part(self.rotation.part);
        self.disk
            .rename(&live, &part)
            .map_err(LogError::io("rotate", &live))?;
        let folder = self.layout.log.folder();
        self.disk
            .sync_dir(folder)
            .map_err(LogError::io("sync the folder", folder))?;
        let scan = Scan::fresh_log(self.spec.task);
        self.log = Writer::open(&*self.disk, &live, scan, &mut |_, _| Ok(()))?;
        self.rotation = Rotation {
            parts: self.rotation.parts + 1,
            part: self.rotation.part + 1,
            day: day_of(now_ms),
        };
        self.save(Vec::new(), now_ms)?;
        tracing::info!(part = %part.display(), "log rotated");
        Ok(())
    }
}

/// The disk of the operating system.
#[must_use]
pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

pub(super) fn day_of(now_ms: UnixMs) -> u64 {
    now_ms / DAY_MS
}

#[cfg(test)]
mod tests;
