//! The range of values on one axis, and its ticks.

use crate::dashboard::format::{count, short, with_minus};

/// From `low` to `high`; never empty, always finite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_count: bool,
}

impl Scale {
    /// Ends that are not finite are replaced, and equal ones are moved apart.
    pub(super) fn new(low: f64, high: f64) -> Self {
        let low = if low.is_finite() {
            low.clamp(-1e300, 1e300)
        } else {
            0.0
        };
        let high = if high.is_finite() {
            high.clamp(-1e300, 1e300)
        } else {
            low
        };
        let spread = (low.abs().max(high.abs()) * 1e-9).max(f64::MIN_POSITIVE * 1e16);
        if high - low > spread {
            return Self {
                low,
                high,
                is_count: false,
            };
        }
        let half = if low == 0.0 { 0.5 } else { low.abs() * 0.5 };
        Self {
            low: low - half,
            high: low + half,
            is_count: false,
        }
    }

    /// From zero to a little above `high`.
    pub(super) fn from_zero(high: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 {
            high.min(1e300) * 1.05
        } else {
            1.0
        };
        Self {
            low: 0.0,
            high,
            is_count: false,
        }
    }

    /// Ticks on whole numbers only, written as counts.
    pub(super) fn counting(self) -> Self {
        Self {
            is_count: true,
            ..self
        }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// Where a value lies between the ends, 0 to 1; values beyond stay at the ends.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// About `wanted` round values with their labels.
    pub(super) fn ticks(&self, wanted: u32) -> Vec<(f64, String)> {
        let mut step = round_step((self.high - self.low) / f64::from(wanted));
        if self.is_count {
            step = step.max(1.0).round();
        }
        let first = (self.low / step).ceil();
        (0..=wanted * 3)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|value| *value <= self.high)
            .map(|value| (value, self.text(value, step)))
            .collect()
    }

    fn text(&self, value: f64, step: f64) -> String {
        if self.is_count {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts are not negative, and saturate"
            )]
            return thousands(value as u64);
        }
        // A tick that should be zero may be a rounding error away from it.
        let value = if value.abs() < step * 1e-6 {
            0.0
        } else {
            value
        };
        plain(value, step)
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999);
    step.filter(|step| step.is_finite() && *step > 0.0)
        .unwrap_or(1.0)
}

/// With as many decimals as the step needs.
fn plain(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    if !(1e-4..1e6).contains(&size) {
        return short_exponent(value);
    }
    let digits = -step.log10().floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 9 by the clamp"
    )]
    let decimals = digits.clamp(0.0, 9.0) as usize;
    with_minus(format!("{value:.decimals$}"))
}

fn short_exponent(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:e}");
    if text.len() <= 7 {
        with_minus(text)
    } else {
        short(value)
    }
}

/// Such as 12,000, but 1.5M: an axis has little room.
fn thousands(value: u64) -> String {
    match value {
        0..100_000 => count(value),
        100_000..1_000_000 => format!("{}k", short_count(value, 1_000)),
        1_000_000..1_000_000_000 => format!("{}M", short_count(value, 1_000_000)),
        _ => format!("{}G", short_count(value, 1_000_000_000)),
    }
}

fn short_count(value: u64, unit: u64) -> String {
    let (whole, tenth) = (value / unit, value % unit * 10 / unit);
    if tenth == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{tenth}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, wanted: u32) -> Vec<String> {
        scale
            .ticks(wanted)
            .into_iter()
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(texts(Scale::from_zero(100.0), 5), ["0", "50", "100"]);
        assert_eq!(
            texts(Scale::new(-1.0, 1.0), 4),
            ["−1.0", "−0.5", "0.0", "0.5", "1.0"]
        );
        assert_eq!(
            texts(Scale::from_zero(3.0).counting(), 5),
            ["0", "1", "2", "3"]
        );
        assert_eq!(
            texts(Scale::new(0.0, 2.1e6).counting(), 4),
            ["0", "1M", "2M"]
        );
        assert_eq!(texts(Scale::from_zero(1e12), 4), ["0", "5e11", "1e12"]);
    }

    #[test]
    fn odd_ranges_stay_finite() {
        let ends = [
            0.0,
            1.0,
            -1.0,
            1e-320,
            1e300,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
        ];
        for low in ends {
            for high in ends {
                for scale in [
                    Scale::new(low, high),
                    Scale::from_zero(high),
                    Scale::new(low, high).counting(),
                ] {
                    let ticks = scale.ticks(5);
                    assert!(ticks.len() <= 16, "{low} {high}");
                    assert!(
                        ticks.iter().all(|(value, _)| value.is_finite()),
                        "{low} {high}"
                    );
                    assert!((0.0..=1.0).contains(&scale.share(low)), "{low} {high}");
                }
            }
        }
    }
}
