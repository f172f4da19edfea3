//! Mean, spread and range of one number, row by row (Welford) and merged (Chan, Golub and `LeVeque`).
//!
//! Deliberately absent: the count. It is the same for every number of a row, so the owner keeps it once and one
//! division serves them all.

/// Mean, sum of squared deviations from the mean, smallest and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    mean: f64,
    m2: f64,
    min: f64,
    max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            mean: 0.0,
            m2: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Moments {
    /// Adds `x`, with which there are now `n` values; `inverse_n` is `1 / n`.
    #[inline]
    pub fn push(&mut self, x: f64, inverse_n: f64) {
        let before = x - self.mean;
        self.mean += before * inverse_n;
        self.m2 += before * (x - self.mean);
        self.min = self.min.min(x);
        self.max = self.max.max(x);
    }

    /// Adds the `n_other` values of `other` to the `n` values of this.
    pub fn merge(&mut self, n: u64, other: &Self, n_other: u64) {
        if n_other == 0 {
            return;
        }
        if n == 0 {
            *self = *other;
            return;
        }
        let (ours, theirs) = (as_f64(n), as_f64(n_other));
        let difference = other.mean - self.mean;
        self.mean += difference * (theirs / (ours + theirs));
        self.m2 += other.m2 + difference * difference * (ours * theirs / (ours + theirs));
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The mean; 0 without values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sum of squared deviations from the mean; never negative.
    #[must_use]
    pub fn m2(&self) -> f64 {
        self.m2.max(0.0)
    }

    /// The smallest value; positive infinity without values.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The largest value; negative infinity without values.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Whether all values (at least one) are the same.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        // Exact on purpose: rounding in `m2` must not make a spread out of equal values.
        self.min >= self.max
    }

    /// The standard deviation with `n - 1` in the denominator, of `n` values; `None` below two or when it overflows.
    #[must_use]
    pub fn std(&self, n: u64) -> Option<f64> {
        let std = (self.m2() / as_f64(n.checked_sub(1).filter(|&rest| rest > 0)?)).sqrt();
        std.is_finite().then_some(std)
    }
}

/// A count as a number; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
#[inline]
pub(super) fn as_f64(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> (u64, Moments) {
        let mut moments = Moments::default();
        let mut n = 0;
        for &x in values {
            n += 1;
            moments.push(x, 1.0 / as_f64(n));
        }
        (n, moments)
    }

    #[test]
    fn a_large_offset_does_not_eat_the_spread() {
        let (n, moments) = of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert!((moments.mean() - (1e9 + 10.0)).abs() < 1e-6);
        assert!((moments.std(n).unwrap().powi(2) - 30.0).abs() < 1e-6);
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 37) - 11.0).collect();
        let (n, whole) = of(&values);
        for cut in [0, 1, 50, 99, 100] {
            let (n_left, mut left) = of(&values[..cut]);
            let (n_right, right) = of(&values[cut..]);
            left.merge(n_left, &right, n_right);
            assert_eq!(n_left + n_right, n);
            assert!((left.mean() - whole.mean()).abs() < 1e-12);
            assert!((left.m2() - whole.m2()).abs() < 1e-9);
            assert_eq!((left.min(), left.max()), (whole.min(), whole.max()));
        }
    }

    #[test]
    fn below_two_values_there_is_no_spread() {
        assert_eq!(Moments::default().std(0), None);
        let (n, moments) = of(&[3.0]);
        assert_eq!(moments.std(n), None);
        assert!(moments.is_constant());
    }
}
