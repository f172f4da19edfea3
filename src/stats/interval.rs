//! Confidence intervals of a mean.
//!
//! Promise: the 95 % interval by Student's t, which is wide for few rows, as it should be. It assumes independent rows,
//! which those of a stream rarely are entirely. Deliberately absent: other levels, and bootstrapping.

use serde::Serialize;

use super::moments::as_f64;

/// A 95 % confidence interval, in the unit of what it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The 97.5 % quantile of Student's t for 1 to 30 degrees of freedom.
const T_975: [f64; 30] = [
    12.7062, 4.302_65, 3.182_45, 2.776_45, 2.570_58, 2.446_91, 2.364_62, 2.306_00, 2.262_16,
    2.228_14, 2.200_99, 2.178_81, 2.160_37, 2.144_79, 2.131_45, 2.119_91, 2.109_82, 2.100_92,
    2.093_02, 2.085_96, 2.079_61, 2.073_87, 2.068_66, 2.063_90, 2.059_54, 2.055_53, 2.051_83,
    2.048_41, 2.045_23, 2.042_27,
];

/// The 97.5 % quantile of the normal distribution.
const Z_975: f64 = 1.959_963_985;

/// The 95 % interval of a mean of `n` values with standard deviation `std`; `None` below two values.
#[must_use]
pub fn mean_interval(n: u64, mean: f64, std: f64) -> Option<Interval> {
    let half = t_975(n.checked_sub(1)?)? * std / as_f64(n).sqrt();
    let interval = Interval {
        low: mean - half,
        high: mean + half,
    };
    (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
}

/// `None` for no degree of freedom.
fn t_975(freedom: u64) -> Option<f64> {
    let index = usize::try_from(freedom.checked_sub(1)?).unwrap_or(usize::MAX);
    Some(T_975.get(index).copied().unwrap_or_else(|| {
        // The first terms of the Cornish-Fisher expansion; above 30 degrees they are good to 1e-5.
        let (z, v) = (Z_975, as_f64(freedom));
        z + (z.powi(3) + z) / (4.0 * v)
            + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_students() {
        // Reference: scipy.stats.t.ppf(0.975, df).
        for (freedom, expected) in [
            (1, 12.706_204_736),
            (10, 2.228_138_852),
            (30, 2.042_272_456),
            (31, 2.039_513_446),
            (60, 2.000_297_821),
            (1000, 1.962_339_081),
        ] {
            assert!(
                (t_975(freedom).unwrap() - expected).abs() < 1e-4,
                "{freedom}"
            );
        }
        assert_eq!(t_975(0), None);
    }

    #[test]
    fn one_value_bounds_nothing() {
        assert_eq!(mean_interval(0, 0.0, 0.0), None);
        assert_eq!(mean_interval(1, 5.0, 0.0), None);
        assert_eq!(
            mean_interval(2, 5.0, 0.0),
            Some(Interval {
                low: 5.0,
                high: 5.0
            })
        );
    }
}
