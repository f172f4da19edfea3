//! Waits between tries: doubling up to a ceiling, jittered so that many clients do not come back in step.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A source of growing, jittered waits.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    ceiling: Duration,
    tries: u32,
    rng: ChaCha8Rng,
}

impl Backoff {
    /// Waits from `first` up to `ceiling`.
    pub(super) fn new(first: Duration, ceiling: Duration, seed: u64) -> Self {
        Self {
            first: first.min(ceiling),
            ceiling,
            tries: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// How many waits were taken since the last [`Backoff::reset`].
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// The next wait: between half and all of the doubled one.
    pub(super) fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.tries.min(20));
        self.tries = self.tries.saturating_add(1);
        doubled
            .min(self.ceiling)
            .mul_f64(self.rng.random_range(0.5..=1.0))
    }

    /// Starts again from the shortest wait, after a success.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_are_never_above_it() {
        let ceiling = Duration::from_secs(5);
        let mut backoff = Backoff::new(Duration::from_millis(100), ceiling, 1);
        let waits = (0..100).map(|_| backoff.next_wait()).collect::<Vec<_>>();
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits.iter().all(|wait| *wait <= ceiling));
        assert!(waits[20..].iter().all(|wait| *wait >= ceiling / 2));
        assert_ne!(waits[50], waits[51]);
    }
}
