//! Quantiles of non-negative numbers, in bounded memory.
//!
//! Promise: exact (as numpy's `percentile`) up to 4096 values. Beyond that, every order statistic is off by at most
//! [`RELATIVE_ERROR`] of itself, whatever the distribution and however parts were merged. Memory is at most 4 MiB, and some
//! tens of KiB if the numbers are of similar size.
//!
//! The sketch is a `DDSketch` whose logarithm is the number's own exponent: a bucket is the exponent and the first eight
//! bits of the mantissa, so a value finds its bucket by a shift.

use super::select;

/// Up to so many values the quantiles are exact.
const EXACT_MAX: usize = 4096;

/// Half a bucket, relative to the bucket's lower end.
pub const RELATIVE_ERROR: f64 = 1.0 / 512.0;

const MANTISSA_BITS: u32 = 8;
const SHIFT: u32 = 52 - MANTISSA_BITS;
/// Buckets of one power of two; the sketch grows by whole octaves.
const OCTAVE: usize = 1 << MANTISSA_BITS;

/// The quantile sketch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantiles {
    n: u64,
    /// All values while there are few, then empty.
    exact: Vec<f64>,
    /// Counts of buckets `first..first + counts.len()`.
    counts: Vec<u64>,
    first: usize,
    max: f64,
}

impl Quantiles {
    /// Adds a finite `value` that is not negative.
    #[inline]
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        self.max = self.max.max(value);
        if self.counts.is_empty() {
            self.push_exact(value);
        } else {
            self.count(bucket(value), 1);
        }
    }

    fn push_exact(&mut self, value: f64) {
        if self.exact.len() < EXACT_MAX {
            self.exact.push(value);
        } else {
            self.spill();
            self.count(bucket(value), 1);
        }
    }

    fn spill(&mut self) {
        for value in std::mem::take(&mut self.exact) {
            self.count(bucket(value), 1);
        }
    }

    #[inline]
    fn count(&mut self, bucket: usize, n: u64) {
        if let Some(count) = self.counts.get_mut(bucket.wrapping_sub(self.first)) {
            *count += n;
        } else {
            self.grow(bucket);
            self.counts[bucket - self.first] += n;
        }
    }

    #[cold]
    fn grow(&mut self, bucket: usize) {
        let low = bucket - bucket % OCTAVE;
        if self.counts.is_empty() {
            self.first = low;
        }
        if low < self.first {
            let missing = self.first - low;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = low;
        }
        let needed = low + OCTAVE - self.first;
        self.counts.resize(needed.max(self.counts.len()), 0);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.exact.len() + other.exact.len() > EXACT_MAX || !other.counts.is_empty() {
            self.spill();
        }
        self.n += other.n;
        self.max = self.max.max(other.max);
        for &value in &other.exact {
            if self.counts.is_empty() {
                self.push_exact(value);
            } else {
                self.count(bucket(value), 1);
            }
        }
        for (i, &count) in other
            .counts
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0)
        {
            self.count(other.first + i, count);
        }
    }

    /// The `q` quantile (0 to 1); `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.quantiles([q]).map(|[value]| value)
    }

    /// Several quantiles at once.
    #[must_use]
    pub fn quantiles<const N: usize>(&self, qs: [f64; N]) -> Option<[f64; N]> {
        if self.counts.is_empty() {
            return select::quantiles(&self.exact, qs);
        }
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        Some(qs.map(|q| select::between(select::position(n, q), |rank| self.order_statistic(rank))))
    }

    /// The middle of the bucket that holds `rank`.
    fn order_statistic(&self, rank: usize) -> f64 {
        let mut before = 0;
        for (i, &count) in self.counts.iter().enumerate() {
            before += count;
            if before > rank as u64 {
                return middle(self.first + i).min(self.max);
            }
        }
        self.max
    }
}

#[inline]
fn bucket(value: f64) -> usize {
    // Adding zero makes -0.0 a 0.0, whose bits are all zero.
    ((value + 0.0).to_bits() >> SHIFT) as usize
}

fn middle(bucket: usize) -> f64 {
    match bucket {
        0 => 0.0,
        bucket => f64::from_bits(((bucket as u64) << SHIFT) | (1 << (SHIFT - 1))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_values_are_exact() {
        let mut sketch = Quantiles::default();
        assert_eq!(sketch.quantile(0.5), None);
        for i in 0..=100 {
            sketch.push(f64::from(100 - i));
        }
        assert_eq!(
            sketch.quantiles([0.0, 0.5, 0.95, 1.0]),
            Some([0.0, 50.0, 95.0, 100.0])
        );
    }

    #[test]
    fn a_sketch_of_every_scale_stays_bounded() {
        let mut sketch = Quantiles::default();
        for i in 0..200_000_u32 {
            sketch.push(10_f64.powi(i32::try_from(i % 600).unwrap() - 300));
        }
        sketch.push(0.0);
        sketch.push(5e-324);
        assert!(sketch.counts.len() <= 2048 * OCTAVE);
        assert_eq!(sketch.quantile(0.0), Some(0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_quantile_keeps_the_stated_error_also_after_a_merge(
            exponents in prop::collection::vec(-12.0..12.0_f64, 5000..7000),
            cut in 0..7000_usize,
            q in 0.0..=1.0_f64,
        ) {
            let values: Vec<f64> = exponents.iter().map(|e| 10_f64.powf(*e)).collect();
            let cut = cut.min(values.len());
            let (mut left, mut right) = (Quantiles::default(), Quantiles::default());
            values[..cut].iter().for_each(|&x| left.push(x));
            values[cut..].iter().for_each(|&x| right.push(x));
            left.merge(&right);
            let exact = select::quantile(&values, q).unwrap();
            let sketched = left.quantile(q).unwrap();
            prop_assert!((sketched - exact).abs() <= exact * RELATIVE_ERROR * 1.000_001);
        }
    }
}
