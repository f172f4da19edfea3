//! Mean, spread and range of one number, updated row by row, and mergeable.
//!
//! Promise: a large offset costs no digits. Sums are taken of distances from a centre, which moves to the mean whenever
//! the count has doubled. So the sum of squares is never more than three times what is left of it after subtracting the
//! mean, and a row needs no division. Parts are merged by the pairwise formula of Chan and others.

/// Count, mean, sum of squared deviations from the mean, smallest and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    n: u64,
    centre: f64,
    /// The sum of the distances from the centre.
    sum: f64,
    /// The sum of their squares.
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            n: 0,
            centre: 0.0,
            sum: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Moments {
    /// Adds a finite `x`.
    #[inline]
    pub fn push(&mut self, x: f64) {
        self.n += 1;
        let distance = x - self.centre;
        self.sum += distance;
        self.squares += distance * distance;
        self.min = if x < self.min { x } else { self.min };
        self.max = if x > self.max { x } else { self.max };
        if self.n.is_power_of_two() {
            self.recentre(x);
        }
    }

    /// Moves the centre to the mean.
    #[cold]
    fn recentre(&mut self, x: f64) {
        let (mean, m2) = if self.n == 1 {
            (x, 0.0)
        } else {
            (self.mean(), self.m2())
        };
        (self.centre, self.sum, self.squares) = (mean, 0.0, m2);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        let (ours, theirs) = (as_f64(self.n), as_f64(other.n));
        let difference = other.mean() - self.mean();
        let m2 =
            self.m2() + other.m2() + difference * difference * (ours * theirs / (ours + theirs));
        let mean = self.mean() + difference * (theirs / (ours + theirs));
        *self = Self {
            n: self.n + other.n,
            centre: mean,
            sum: 0.0,
            squares: m2,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        };
    }

    /// How many values there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The mean; 0 without values.
    #[must_use]
    #[inline]
    pub fn mean(&self) -> f64 {
        self.centre + self.sum / as_f64(self.n.max(1))
    }

    /// The sum of squared deviations from the mean; never negative.
    #[must_use]
    pub fn m2(&self) -> f64 {
        let beside = self.sum * (self.sum / as_f64(self.n.max(1)));
        (self.squares - beside).max(0.0)
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
        // Compared exactly on purpose: rounding in `m2` could make equal values look spread.
        self.min >= self.max
    }

    /// The standard deviation with `n - 1` in the denominator; `None` below two values or when it overflows.
    #[must_use]
    pub fn std(&self) -> Option<f64> {
        let rest = self.n.checked_sub(1).filter(|&rest| rest > 0)?;
        let std = (self.m2() / as_f64(rest)).sqrt();
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

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for &x in values {
            moments.push(x);
        }
        moments
    }

    #[test]
    fn a_large_offset_does_not_eat_the_spread() {
        let moments = of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert!((moments.mean() - (1e9 + 10.0)).abs() < 1e-6);
        assert!((moments.std().unwrap().powi(2) - 30.0).abs() < 1e-6);
    }

    #[test]
    fn neither_does_a_jump_far_away_from_the_centre() {
        // 1000 rows around zero, then 5000 around 10^8: the spread is the two-pass one to ten digits.
        let at = |i: u32| f64::from(i * 7919 % 101) / 100.0 + if i < 1000 { 0.0 } else { 1e8 };
        let values: Vec<f64> = (0..6000).map(at).collect();
        let mean = values.iter().sum::<f64>() / 6000.0;
        let m2: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        let moments = of(&values);
        assert!((moments.m2() / m2 - 1.0).abs() < 1e-10);
        assert!((moments.mean() / mean - 1.0).abs() < 1e-13);
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 37) - 11.0).collect();
        let whole = of(&values);
        for cut in [0, 1, 50, 99, 100] {
            let mut merged = of(&values[..cut]);
            merged.merge(&of(&values[cut..]));
            assert_eq!(merged.n(), 100);
            assert!((merged.mean() - whole.mean()).abs() < 1e-12);
            assert!((merged.m2() - whole.m2()).abs() < 1e-9);
            assert_eq!((merged.min(), merged.max()), (whole.min(), whole.max()));
        }
    }

    #[test]
    fn below_two_values_there_is_no_spread() {
        assert_eq!(Moments::default().std(), None);
        assert_eq!(of(&[3.0]).std(), None);
        assert!(of(&[3.0]).is_constant());
    }
}
