//! Which ids belong to this process, when several metric processes share a stream.
//!
//! Every process has its own group on the bus, receives every frame, and keeps the ids whose hash belongs to its
//! partition. So both halves of an id meet in one process, without a broker that can route by id.

use super::config::Config;
use crate::message::RecordId;

/// The consumer group of a partition on `y_true` and `y_pred`; `metric` when there is only one.
#[must_use]
pub fn group(partition: u32, partitions: u32) -> String {
    if partitions <= 1 {
        "metric".to_owned()
    } else {
        format!("metric-{partition}of{partitions}")
    }
}

/// Every group that the topology must have.
#[must_use]
pub fn groups(partitions: u32) -> Vec<String> {
    (0..partitions.max(1))
        .map(|partition| group(partition, partitions))
        .collect()
}

pub(super) fn is_mine(id: &RecordId, config: &Config) -> bool {
    config.partitions <= 1 || partition_of(id, config.partitions) == config.partition
}

/// FNV-1a over the id's text with a final mix: the same in every process, on every machine, in every version.
pub(super) fn partition_of(id: &RecordId, partitions: u32) -> u32 {
    let hash = id.with_text(|text| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (((mixed >> 32) * u64::from(partitions)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spread_evenly_and_the_same_way_for_ever() {
        let ids = (0..40_000).map(|n| RecordId::from_text(&format!("{n}.5")).unwrap());
        let mut counts = [0; 4];
        ids.for_each(|id| counts[partition_of(&id, 4) as usize] += 1);
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
        let fixed = RecordId::from_text("1731241829.788735").unwrap();
        assert_eq!(partition_of(&fixed, 1_000), FIXED);
    }

    /// What the hash has always given; with another one the two halves of a waiting id would go to two processes.
    const FIXED: u32 = 970;

    #[test]
    fn groups_are_named_by_their_place() {
        assert_eq!(groups(1), ["metric"]);
        assert_eq!(groups(2), ["metric-0of2", "metric-1of2"]);
    }
}
