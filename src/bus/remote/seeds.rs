//! Seeds for everything that is drawn at random here: the jitter of each wait, ids for messages that came without one.
//!
//! Promise: all of them follow from the one seed that the composition root chose, in the order in which they are asked
//! for, and no two are likely to be equal.

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A source of seeds.
#[derive(Debug)]
pub(in crate::bus) struct Seeds(Mutex<ChaCha8Rng>);

impl Seeds {
    pub(in crate::bus) fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// A seed for one more generator.
    pub(in crate::bus) fn next(&self) -> u64 {
        self.0.lock().random()
    }
}
