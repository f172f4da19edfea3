//! 128 bits that stand for an id in memory.
//!
//! A UUID is its own fingerprint. Any other text is hashed twice with keys that are random for each process, so nobody
//! outside can construct a collision; by chance, two of a million ids collide once in 10^26 runs.

use std::hash::{BuildHasher, RandomState};

use crate::message::RecordId;

/// Stands for one id within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u64; 2]);

/// Makes fingerprints and spreads them over hash tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprints {
    first: RandomState,
    second: RandomState,
}

impl Fingerprints {
    pub(super) fn of(&self, id: &RecordId) -> Fingerprint {
        if let Some(bytes) = id.uuid_bytes() {
            let whole = u128::from_be_bytes(*bytes);
            return Fingerprint([halves(whole).0, halves(whole).1]);
        }
        id.with_text(|text| Fingerprint([self.first.hash_one(text), self.second.hash_one(text)]))
    }
}

impl Fingerprint {
    /// The hash for a table. Every bit of the id influences every bit of the result, with one exception made for speed:
    /// UUIDs of version 7 that differ only in the low bits of their counter get neighbouring slots, so that one cache
    /// line holds the ids of a whole frame.
    ///
    /// The time in a UUID of version 7 is left out, because its last 62 bits alone are random or a counter.
    pub(super) fn spread(self) -> u64 {
        if self.0[0] & 0xf000 == 0x7000 {
            let counter = self.0[1] >> COUNTER_SHIFT;
            let neighbourhood = self.0[1] & !(NEIGHBOURS << COUNTER_SHIFT);
            // hashbrown compares the top seven bits first and takes the lowest bits as the slot.
            let spread = mixed(0, neighbourhood) & !NEIGHBOURS;
            return (spread | (counter & NEIGHBOURS)) ^ (counter.rotate_right(7) & TAG);
        }
        mixed(self.0[0], self.0[1])
    }
}

/// Where the counter of our own ids begins ([`crate::message::IdSource`]), and how many of its bits keep neighbours.
const COUNTER_SHIFT: u32 = 32;
const NEIGHBOURS: u64 = 31;
/// The bits by which hashbrown distinguishes the entries of one group of slots.
const TAG: u64 = 0x7f << 57;

fn mixed(first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ 0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(u128::from(second ^ 0xd6e8_feb8_6659_fd93) | 1);
    let (high, low) = halves(product);
    (high ^ low)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        ^ low
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "taking a number apart is the point"
)]
fn halves(whole: u128) -> (u64, u64) {
    ((whole >> 64) as u64, whole as u64)
}
