//! Settings of the metric service.

use serde::{Deserialize, Serialize};

/// What happens to a second, different label of the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelPolicy {
    /// The first label stays; the other is counted as conflicting.
    #[default]
    First,
    /// The last label counts: a waiting half takes it over, for a recorded row it is added to `corrections.csv`.
    Last,
    /// The first label stays; the other goes to the dead letters, where it can be inspected.
    Reject,
}

/// Settings of the metric service. Memory, as measured: 60 MiB for a million pending halves, and 25 MiB more for half a
/// million remembered ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a half waits for its partner before it expires to `unmatched.csv`, in milliseconds.
    pub age_max_ms: u64,
    /// How many halves may wait; beyond that the oldest is evicted to `unmatched.csv`.
    pub pending_max: u32,
    /// How many finished ids are remembered, to recognise what is delivered again.
    pub seen_max: u32,
    /// How long a finished id is remembered, in milliseconds.
    pub seen_age_max_ms: u64,
    /// What happens to a second, different label of the same id: first, last or reject.
    pub label_policy: LabelPolicy,
    /// Deliveries of one topic that may be committed together.
    pub group_max: usize,
    /// Shortest time between two commits of a busy stream, in milliseconds; the first after a pause is immediate.
    pub linger_ms: u64,
    /// How long a half may stay unacknowledged in memory, in milliseconds: if its partner comes in that time, neither
    /// goes through the store. Keep it well below the bus's lease.
    pub hold_ms: u64,
    /// How many deliveries may stay unacknowledged so; keep it below the bus's consume window.
    pub hold_max: usize,
    /// How often counters are saved when nothing else is, in milliseconds.
    pub checkpoint_ms: u64,
    /// The log is rotated when it reaches this size in bytes; never if 0.
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
    /// Checks that the values make sense together.
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
