//! What the ledger counts, and what it tells the world.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pending::Kind;
use crate::stats::LossBrief;

/// Every half that came, by the one state it ended in. See [`Counters::is_balanced`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Halves that came, bad ones and repeated ones included.
    pub received: u64,
    /// Rows recorded; each took two halves.
    pub matched: u64,
    /// Halves that came again with the same value.
    pub duplicate: u64,
    /// Halves that came again with another value.
    pub conflicting: u64,
    /// Truths that waited for a prediction longer than `age_max_ms`.
    pub expired_truth: u64,
    /// Predictions that waited for a truth longer than `age_max_ms`.
    pub expired_prediction: u64,
    /// Halves whose partner had expired or been evicted before.
    pub late: u64,
    /// Truths that had to leave because more than `pending_max` waited.
    pub evicted_truth: u64,
    /// Predictions that had to leave because more than `pending_max` waited.
    pub evicted_prediction: u64,
    /// Records and whole frames that could not be used.
    pub malformed: u64,
}

impl Counters {
    /// The identity: nothing that came is unaccounted for, at any moment.
    #[must_use]
    pub fn is_balanced(&self, pending: u64) -> bool {
        self.received == self.settled() + pending
    }

    /// Halves that have reached their final state.
    #[must_use]
    pub fn settled(&self) -> u64 {
        2 * self.matched
            + self.duplicate
            + self.conflicting
            + self.expired()
            + self.late
            + self.evicted()
            + self.malformed
    }

    /// Expired halves of both kinds.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.expired_truth + self.expired_prediction
    }

    /// Evicted halves of both kinds.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted_truth + self.evicted_prediction
    }

    /// The share of predictions that got their label, of those whose fate is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub fn coverage(&self) -> Option<f64> {
        let without = self.expired_prediction + self.evicted_prediction;
        let all = self.matched + without;
        (all > 0).then(|| self.matched as f64 / all as f64)
    }

    pub(super) fn count_left(&mut self, kind: Kind, reason: Reason) {
        let counter = match (reason, kind) {
            (Reason::Expired, Kind::Truth) => &mut self.expired_truth,
            (Reason::Expired, Kind::Prediction) => &mut self.expired_prediction,
            (Reason::Evicted, Kind::Truth) => &mut self.evicted_truth,
            (Reason::Evicted, Kind::Prediction) => &mut self.evicted_prediction,
            (Reason::Late, _) => &mut self.late,
        };
        *counter += 1;
    }
}

/// Why a half stands in `unmatched.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It waited longer than `age_max_ms`.
    Expired,
    /// More than `pending_max` halves waited and it was the oldest.
    Evicted,
    /// Its partner had already left.
    Late,
}

impl Reason {
    /// As it stands in `unmatched.csv`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Late => "late",
        }
    }
}

/// Where the metric service stands. Everything in it is durable, except `pending` halves of unsettled deliveries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Halves by state, since the ledger began.
    pub counters: Counters,
    /// Halves that wait for their partner.
    pub pending: u64,
    /// Rows in the log: recorded by the ledger, or found there when it began.
    pub rows: u64,
    /// Rows recorded by this process whose id carries the wanted run's tag; without a wanted run, all it recorded.
    pub rows_of_run: u64,
    /// Size of the live log file in bytes.
    pub log_bytes: u64,
    /// Half of the labels came no later than this after their prediction, in milliseconds; of this process.
    pub label_delay_p50_ms: Option<u64>,
    /// The same for 95 of 100 labels.
    pub label_delay_p95_ms: Option<u64>,
    /// From the minting of an id of the wanted run to its durable row, in microseconds: p50, p99 and p99.9 of this process.
    pub row_latency_us: Option<[u64; 3]>,
    /// When the first id of the wanted run was minted and when its last row became durable, in microseconds since the
    /// Unix epoch; of this process.
    pub span_us: Option<[u64; 2]>,
    /// Of a classification; over the rows whose predictions brought probabilities.
    pub log_loss: Option<LossBrief>,
    /// Why nothing can be recorded at the moment, if so.
    pub failing: Option<Arc<str>>,
}
