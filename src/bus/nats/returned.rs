//! What this process gave back and has not seen again: JetStream counts it as unacknowledged, but nobody holds it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::wire::Position;

/// Messages remembered for each group; beyond that they count as in flight.
const RETURNED_MAX: usize = 65_536;

/// By stream and consumer, the sequences given back.
pub(super) type Ledger = Arc<Mutex<HashMap<(String, String), BTreeSet<u64>>>>;

/// One group's part of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Returned {
    ledger: Ledger,
    key: (String, String),
}

impl Returned {
    pub(super) fn new(ledger: &Ledger, stream: &str, consumer: &str) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            key: (stream.to_owned(), consumer.to_owned()),
        }
    }

    /// The delivery that is acknowledged at this subject was given back.
    pub(super) fn note(&self, reply: &str) {
        if let Some(position) = Position::parse(reply) {
            self.with(|sequences| {
                if sequences.len() < RETURNED_MAX {
                    sequences.insert(position.sequence);
                }
            });
        }
    }

    /// It was delivered to us again.
    pub(super) fn forget(&self, position: &Position<'_>) {
        if position.delivered > 1 {
            self.with(|sequences| sequences.remove(&position.sequence));
        }
    }

    /// How many are still out, knowing up to where everything is acknowledged.
    pub(super) fn count(&self, ack_floor: u64) -> u64 {
        let count = self.with(|sequences| {
            sequences.retain(|sequence| *sequence > ack_floor);
            sequences.len()
        });
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        act(ledger.entry(self.key.clone()).or_default())
    }
}
