//! Settings of the metric service.

use serde::{Deserialize, Serialize};

/// What is done with a second, different label of an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelPolicy {
    /// The first label stays; the other is counted as conflicting.
    #[default]
    First,
    /// The last label holds: a waiting half takes it, a recorded row gets a further row in `corrections.csv`.
    Last,
    /// The first label stays; the other goes to the dead letters, where somebody can look at it.
    Reject,
}

/// Settings of the metric service. Measured bounds in memory: 60 MiB for a million pending halves, 25 more for half a
/// million remembered ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a half waits for its partner before it expires to `unmatched.csv`, in milliseconds.
    pub age_max_ms: u64,
    /// Halves that may wait; beyond it the oldest is evicted to `unmatched.csv`.
    pub pending_max: u32,
    /// Finished ids that are remembered to recognise what is delivered again.
    pub seen_max: u32,
    /// How long a finished id is remembered, in milliseconds.
    pub seen_age_max_ms: u64,
    /// What is done with a second, different label: first, last or reject.
    pub label_policy: LabelPolicy,
    /// Deliveries of one topic that may be committed together.
    pub group_max: usize,
    /// Shortest time between two commits of a busy stream, in milliseconds; the first after a pause is immediate.
    pub linger_ms: u64,
    /// How long a half may stay unacknowledged in memory, so that a partner that comes soon spares the store, in
    /// milliseconds. Keep it well below the bus's lease.
    pub hold_ms: u64,
    /// Deliveries that may be held so; keep it below the bus's consume window.
    pub hold_max: usize,
    /// How often counters are saved when nothing else is, in milliseconds.
    pub checkpoint_ms: u64,
    /// The log is rotated when it reaches this size in bytes; 0 for never.
    pub rotate_bytes: u64,
    /// The log is rotated at midnight UTC.
    pub rotate_daily: bool,
    /// How many metric processes share the ids.
    pub partitions: u32,
    /// Which of them this one is, from 0.
    pub partition: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            age_max_ms: 24 * 3_600_000,
            pending_max: 1_000_000,
            seen_max: 400_000,
            seen_age_max_ms: 24 * 3_600_000,
            label_policy: LabelPolicy::First,
            group_max: 64,
            linger_ms: 0,
            hold_ms: 50,
            hold_max: 160,
            checkpoint_ms: 1_000,
            rotate_bytes: 0,
            rotate_daily: false,
            partitions: 1,
            partition: 0,
        }
    }
}

/// A setting that is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It must be positive.
    #[error("`{0}` is 0, give at least 1")]
    Zero(&'static str),
    /// There is no such partition.
    #[error("`partition` is {partition}, with `partitions` {partitions} it goes from 0 to {}", partitions - 1)]
    Partition {
        /// The one asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
}

impl Config {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn check(&self) -> Result<(), SettingError> {
        let positive = [
            ("age_max_ms", self.age_max_ms > 0),
            ("pending_max", self.pending_max > 0),
            ("seen_max", self.seen_max > 0),
            ("group_max", self.group_max > 0),
            ("hold_max", self.hold_max > 0),
            ("partitions", self.partitions > 0),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, is_positive)| !is_positive) {
            return Err(SettingError::Zero(key));
        }
        if self.partition >= self.partitions {
            return Err(SettingError::Partition {
                partition: self.partition,
                partitions: self.partitions,
            });
        }
        Ok(())
    }
}
