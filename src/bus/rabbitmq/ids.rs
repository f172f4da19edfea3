//! Ids for messages that nobody named.

use rand::{RngExt, SeedableRng, rngs::ChaCha20Rng};
use uuid::Uuid;

use crate::bus::remote::process_seed;

/// A source of fresh random ids.
#[derive(Debug)]
pub(super) struct Ids(ChaCha20Rng);

impl Ids {
    /// Ids that differ between processes and between sources.
    pub(super) fn new() -> Self {
        Self(ChaCha20Rng::seed_from_u64(process_seed()))
    }

    pub(super) fn fresh(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }
}
