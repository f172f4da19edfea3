//! Random ids, for messages that came without one.

use rand::{RngExt, SeedableRng, rngs::ChaCha20Rng};
use uuid::Uuid;

/// A source of fresh random ids.
#[derive(Debug)]
pub(super) struct RandomIds(ChaCha20Rng);

impl RandomIds {
    /// The same seed gives the same ids, so each source needs one of its own.
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    pub(super) fn next(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }
}
