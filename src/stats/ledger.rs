//! What the join has done with the halves that came, in numbers.
//!
//! The metric service counts, the page and the metrics endpoint show; neither knows the other, so the numbers that they
//! share are described here. Promise: [`LedgerCounters::is_balanced`] always holds, so every half is accounted for. Deliberately absent: the join itself.

use serde::{Deserialize, Serialize};

use super::log_loss::LossReport;

/// Every half that came, by the one state it ended in. See [`LedgerCounters::is_balanced`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCounters {
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

impl LedgerCounters {
    /// Whether every half that came is in exactly one state, or among the `pending` ones.
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

    /// Of the predictions that were matched, expired or evicted, the share that got its label.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub fn coverage(&self) -> Option<f64> {
        let without = self.expired_prediction + self.evicted_prediction;
        let all = self.matched + without;
        (all > 0).then(|| self.matched as f64 / all as f64)
    }

    /// Every state with its count, in the order in which a half can reach them.
    #[must_use]
    pub fn states(&self) -> [(&'static str, u64); 9] {
        [
            ("matched", self.matched),
            ("duplicate", self.duplicate),
            ("conflicting", self.conflicting),
            ("expired_truth", self.expired_truth),
            ("expired_prediction", self.expired_prediction),
            ("late", self.late),
            ("evicted_truth", self.evicted_truth),
            ("evicted_prediction", self.evicted_prediction),
            ("malformed", self.malformed),
        ]
    }
}

/// The state of the ledger, as the page and `/api/summary` show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LedgerSnapshot {
    /// Halves by state.
    #[serde(flatten)]
    pub counters: LedgerCounters,
    /// Halves that wait for their partner.
    pub pending: u64,
    /// See [`LedgerCounters::coverage`].
    pub coverage: Option<f64>,
    /// Half of the labels came no later than this after their prediction.
    pub label_delay_p50_ms: Option<u64>,
    /// The same for 95 of 100 labels.
    pub label_delay_p95_ms: Option<u64>,
    /// Of a classification.
    pub log_loss: Option<LossReport>,
    /// Why nothing can be recorded now; none if it can.
    pub failing: Option<String>,
}
