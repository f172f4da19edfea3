//! How late labels come, and how long rows take: a histogram of delays with logarithmic buckets.
//!
//! Promise: quantiles at most 1/16 below the true value, in eight kibibytes, whatever was recorded.
//!
//! This is not [`crate::stats::Quantiles`], though both answer the same question. That one is built for errors: exact
//! while values are few, interpolated as numpy does, up to 4 MiB. A delay is a whole number of milliseconds or
//! microseconds that is only ever shown rounded, is recorded for every row on the hot path, and must not take more
//! memory with a longer run. With the other sketch the delays that the page and the bench show would change.

/// Buckets in each power of two, as a number of bits: the width of a bucket is a sixteenth of its lower edge.
const STEPS_BITS: u32 = 4;
const STEPS: u64 = 1 << STEPS_BITS;
const BUCKETS: usize = 64 << STEPS_BITS;

/// Delays in any unit, counted by size.
#[derive(Clone, Debug)]
pub(super) struct DelaySketch {
    counts: Box<[u64]>,
    total: u64,
}

impl DelaySketch {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            total: 0,
        }
    }

    pub(super) fn record(&mut self, delay: u64) {
        self.counts[bucket(delay)] += 1;
        self.total += 1;
    }

    /// The delay that a share `q` of the labels did not exceed.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 0 and the total, exact enough far beyond 2^53 labels"
    )]
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        // A little less, because 0.07 times 100 is 7.000000000000001 and would be rounded up to 8.
        let rank = (q.clamp(0.0, 1.0) * self.total as f64 - 1e-9)
            .ceil()
            .max(1.0) as u64;
        let mut seen = 0;
        self.counts
            .iter()
            .position(|count| {
                seen += count;
                seen >= rank
            })
            .map(lower_edge)
    }
}

fn bucket(delay: u64) -> usize {
    let octave = delay.checked_ilog2().unwrap_or(0);
    let at = if octave < STEPS_BITS {
        delay
    } else {
        let step = (delay >> (octave - STEPS_BITS)) & (STEPS - 1);
        u64::from(octave - STEPS_BITS + 1) * STEPS + step
    };
    usize::try_from(at).unwrap_or(BUCKETS - 1)
}

fn lower_edge(bucket: usize) -> u64 {
    let at = bucket as u64;
    if at < STEPS {
        return at;
    }
    (STEPS + at % STEPS) << (at / STEPS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_seen_has_no_quantile() {
        assert_eq!(DelaySketch::new().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_sixteenth(
            mut delays in proptest::collection::vec(0u64..100_000_000_000, 1..200),
            percent in 0..=100usize,
        ) {
            let mut sketch = DelaySketch::new();
            for delay in &delays {
                sketch.record(*delay);
            }
            delays.sort_unstable();
            let rank = (percent * delays.len()).div_ceil(100).max(1);
            let exact = delays[rank - 1];
            let shown = sketch.quantile(f64::from(u8::try_from(percent).unwrap()) / 100.0).unwrap();
            prop_assert!(shown <= exact && exact - shown <= exact / 16, "{shown} for {exact}");
        }

        #[test]
        fn every_delay_has_a_bucket(delay in any::<u64>()) {
            DelaySketch::new().record(delay);
        }
    }
}
