//! How far the ledger is, as it reports it.

use std::sync::Arc;

use super::pending::Kind;
use crate::{
    clock::UnixMs,
    stats::{LedgerCounters, LedgerSnapshot, LossSnapshot},
};

/// Counts a half that leaves without its partner.
pub(super) fn count_unmatched(counters: &mut LedgerCounters, kind: Kind, reason: Reason) {
    let counter = match (reason, kind) {
        (Reason::Expired, Kind::Truth) => &mut counters.expired_truth,
        (Reason::Expired, Kind::Prediction) => &mut counters.expired_prediction,
        (Reason::Evicted, Kind::Truth) => &mut counters.evicted_truth,
        (Reason::Evicted, Kind::Prediction) => &mut counters.evicted_prediction,
        (Reason::Late, _) => &mut counters.late,
    };
    *counter += 1;
}

/// Why a half is in `unmatched.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It waited longer than `age_max_ms`.
    Expired,
    /// More than `pending_max` halves waited and it was the oldest.
    Evicted,
    /// Its partner had expired or been evicted before.
    Late,
}

impl Reason {
    /// As in `unmatched.csv`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Late => "late",
        }
    }
}

/// How far the metric service is. Everything in it is durable, except `pending` halves of unsettled deliveries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Halves by state, since the ledger began.
    pub counters: LedgerCounters,
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
    /// From the creation of an id of the wanted run to its durable row, in microseconds: p50, p99 and p99.9 of this
    /// process.
    pub row_latency_us: Option<[u64; 3]>,
    /// When the first id of the wanted run was created and when its last row became durable, in microseconds since the
    /// Unix epoch; of this process.
    pub span_us: Option<[u64; 2]>,
    /// Of a classification; over the rows whose predictions incoming probabilities.
    pub log_loss: Option<LossSnapshot>,
    /// Why nothing can be recorded now; none if it can.
    pub failing: Option<Arc<str>>,
}

impl Progress {
    /// The part of it that is shown.
    #[must_use]
    pub fn snapshot(&self, now_ms: UnixMs) -> LedgerSnapshot {
        LedgerSnapshot {
            counters: self.counters,
            pending: self.pending,
            coverage: self.counters.coverage(),
            label_delay_p50_ms: self.label_delay_p50_ms,
            label_delay_p95_ms: self.label_delay_p95_ms,
            log_loss: self.log_loss.as_ref().map(|loss| loss.report(now_ms)),
            failing: self.failing.as_deref().map(str::to_owned),
        }
    }
}
