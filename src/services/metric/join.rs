//! Joins truths with predictions by id. Knows no bus, clock or file: time is a parameter.
//!
//! Promise: each half ends in exactly one state, and [`LedgerCounters::is_balanced`] holds after every call. Memory is
//! bounded by `pending_max` and `seen_max`. The [`Outcome`] says what must become durable; the ledger does it.

use super::{
    config::{Config, LabelPolicy},
    delay::DelaySketch,
    fingerprint::{Fingerprint, Fingerprints},
    pending::{Key, Kind, Pending, Waiting},
    progress::{Reason, count_unmatched},
    seen_ids::{Comparison, SeenIds},
};
use crate::{message::RecordId, stats::LedgerCounters};

/// What became of a half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It waits under this key.
    Pending(Key),
    /// It completes a row; its partner waited under this key.
    Matched {
        y_true: f64,
        y_pred: f64,
        partner: Key,
    },
    /// The same half came before; it still waits under the key, if any.
    Duplicate(Option<Key>),
    /// Another value came before and stays.
    Conflicting,
    /// Another value came before and stays; the sender is to be informed.
    Refused,
    /// The waiting half under this key has this value now.
    Replaced(Key),
    /// A recorded row has this truth now.
    Corrected { y_true: f64, y_pred: f64 },
    /// Its partner expired or was evicted before.
    Late,
}

/// A half that leaves the join without a partner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UnmatchedHalf {
    pub(super) key: Key,
    pub(super) value: f64,
    pub(super) reason: Reason,
}

#[derive(Debug)]
pub(super) struct Join {
    age_max_ms: u64,
    pending_max: usize,
    label_policy: LabelPolicy,
    fingerprints: Fingerprints,
    pending: Pending,
    seen: SeenIds,
    delays: DelaySketch,
    last_key: Key,
    pub(super) counters: LedgerCounters,
}

impl Join {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            age_max_ms: config.age_max_ms,
            pending_max: config.pending_max as usize,
            label_policy: config.label_policy,
            fingerprints: Fingerprints::default(),
            pending: Pending::new(),
            seen: SeenIds::new(config.seen_max as usize, config.seen_age_max_ms),
            delays: DelaySketch::new(),
            last_key: Key::default(),
            counters: LedgerCounters::default(),
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn seen_ids(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn delays(&self) -> &DelaySketch {
        &self.delays
    }

    pub(super) fn accept(&mut self, id: &RecordId, kind: Kind, value: f64, now_ms: u64) -> Outcome {
        self.counters.received += 1;
        let fingerprint = self.fingerprints.of(id);
        if let Some((place, waiting)) = self.pending.find(fingerprint) {
            let waiting = *waiting;
            if waiting.key.kind() != kind {
                self.pending.remove(place);
                return self.matched(waiting, value, now_ms);
            }
            if waiting.value.to_bits() == value.to_bits() {
                self.counters.duplicate += 1;
                return Outcome::Duplicate(Some(waiting.key));
            }
            self.counters.conflicting += 1;
            if self.follows_last(kind) {
                self.pending.set_value(place, value);
                return Outcome::Replaced(waiting.key);
            }
            return self.conflicting(kind);
        }
        if let Some(comparison) = self.seen.compare(fingerprint, kind, value) {
            return self.finished_id(fingerprint, kind, value, comparison);
        }
        Outcome::Pending(self.wait(fingerprint, kind, value, now_ms))
    }

    /// Counts records that could not be read, so that there is no half to join.
    pub(super) fn count_malformed(&mut self, number: u64) {
        self.counters.received += number;
        self.counters.malformed += number;
    }

    /// Removes the oldest half if it has waited too long or too many wait.
    pub(super) fn pop_unmatched(&mut self, now_ms: u64) -> Option<UnmatchedHalf> {
        let oldest = self.pending.oldest()?;
        let reason = if self.pending.len() > self.pending_max {
            Reason::Evicted
        } else if oldest.key.received_ms().saturating_add(self.age_max_ms) <= now_ms {
            Reason::Expired
        } else {
            return None;
        };
        let waiting = self.pending.pop_oldest()?;
        self.leave(waiting, reason, now_ms);
        Some(UnmatchedHalf {
            key: waiting.key,
            value: waiting.value,
            reason,
        })
    }

    /// When the oldest half expires.
    pub(super) fn expiry_ms(&self) -> Option<u64> {
        let oldest = self.pending.oldest()?;
        Some(oldest.key.received_ms().saturating_add(self.age_max_ms))
    }

    /// Forgets finished ids that are older than the bound.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.seen.forget(now_ms);
    }

    fn matched(&mut self, waiting: Waiting, value: f64, now_ms: u64) -> Outcome {
        let (y_true, y_pred, delay_ms) = match waiting.key.kind() {
            Kind::Truth => (waiting.value, value, 0),
            Kind::Prediction => (
                value,
                waiting.value,
                now_ms.saturating_sub(waiting.key.received_ms()),
            ),
        };
        self.delays.record(delay_ms);
        self.counters.matched += 1;
        self.seen
            .push(waiting.fingerprint, Some(y_true), Some(y_pred), now_ms);
        Outcome::Matched {
            y_true,
            y_pred,
            partner: waiting.key,
        }
    }

    fn finished_id(
        &mut self,
        fingerprint: Fingerprint,
        kind: Kind,
        value: f64,
        comparison: Comparison,
    ) -> Outcome {
        match comparison {
            Comparison::Same => {
                self.counters.duplicate += 1;
                Outcome::Duplicate(None)
            }
            Comparison::Missing => {
                self.counters.late += 1;
                self.seen.complete(fingerprint, kind, value);
                Outcome::Late
            }
            Comparison::Different { partner } => {
                self.counters.conflicting += 1;
                match partner {
                    Some(y_pred) if self.follows_last(kind) => {
                        self.seen.correct(fingerprint, value);
                        Outcome::Corrected {
                            y_true: value,
                            y_pred,
                        }
                    }
                    _ => self.conflicting(kind),
                }
            }
        }
    }

    fn follows_last(&self, kind: Kind) -> bool {
        kind == Kind::Truth && self.label_policy == LabelPolicy::Last
    }

    /// The label policy is about labels only; of two predictions the first always stays.
    fn conflicting(&self, kind: Kind) -> Outcome {
        if kind == Kind::Truth && self.label_policy == LabelPolicy::Reject {
            Outcome::Refused
        } else {
            Outcome::Conflicting
        }
    }

    fn wait(&mut self, fingerprint: Fingerprint, kind: Kind, value: f64, now_ms: u64) -> Key {
        let key = Key::new(self.last_key, now_ms, kind);
        self.last_key = key;
        self.pending.push(Waiting {
            fingerprint,
            value,
            key,
        });
        key
    }

    fn leave(&mut self, waiting: Waiting, reason: Reason, now_ms: u64) {
        let kind = waiting.key.kind();
        count_unmatched(&mut self.counters, kind, reason);
        let (y_true, y_pred) = match kind {
            Kind::Truth => (Some(waiting.value), None),
            Kind::Prediction => (None, Some(waiting.value)),
        };
        self.seen.push(waiting.fingerprint, y_true, y_pred, now_ms);
    }
}

/// Rebuilding the state from what is durable.
impl Join {
    /// A half that the store holds; in the order of keys.
    pub(super) fn restore(&mut self, id: &RecordId, value: f64, key: Key) {
        self.last_key = self.last_key.max(key);
        let fingerprint = self.fingerprints.of(id);
        if self.pending.find(fingerprint).is_none() {
            self.pending.push(Waiting {
                fingerprint,
                value,
                key,
            });
        }
    }

    /// Keys given out from now on are larger than this one.
    pub(super) fn restore_last_key(&mut self, key: Key) {
        self.last_key = self.last_key.max(key);
    }

    /// A finished id that the counters already know.
    pub(super) fn remember(
        &mut self,
        id: &RecordId,
        y_true: Option<f64>,
        y_pred: Option<f64>,
        now_ms: u64,
    ) {
        let fingerprint = self.fingerprints.of(id);
        for (kind, value) in [(Kind::Truth, y_true), (Kind::Prediction, y_pred)] {
            let Some(value) = value else { continue };
            match self.seen.compare(fingerprint, kind, value) {
                Some(Comparison::Missing) => self.seen.complete(fingerprint, kind, value),
                Some(Comparison::Same | Comparison::Different { .. }) => {}
                None => {
                    self.seen.push(fingerprint, y_true, y_pred, now_ms);
                    return;
                }
            }
        }
    }

    /// A correction that the counters already know.
    pub(super) fn remember_correction(&mut self, id: &RecordId, y_true: f64) {
        let fingerprint = self.fingerprints.of(id);
        if let Some(Comparison::Different { .. }) =
            self.seen.compare(fingerprint, Kind::Truth, y_true)
        {
            self.seen.correct(fingerprint, y_true);
        }
    }

    /// Removes a waiting half because a file already says what became of it; returns its key.
    pub(super) fn take(&mut self, id: &RecordId) -> Option<Key> {
        let (place, _) = self.pending.find(self.fingerprints.of(id))?;
        Some(self.pending.remove(place).key)
    }

    /// Makes the counters balance again after they were restored and files replayed.
    pub(super) fn balance(&mut self) {
        self.counters.received = self.counters.settled() + self.pending.len() as u64;
    }
}

#[cfg(test)]
mod tests;
