//! A Gaussian kernel density with Scott's bandwidth, at the points where seaborn's `histplot` draws it.
//!
//! Promise: `n` weighted values give scipy's `gaussian_kde` at [`GRID_POINTS`] evenly spaced points over their range. While
//! it is cheap, the sum is computed directly; then only kernels further than nine bandwidths away are left out (less than
//! 1e-17 of their height). Otherwise each value is split linearly between the two nearest cells of a fine grid, at most
//! 1/128 of a bandwidth wide, and the sum is computed over the cells: that deviates by at most 1e-5 of the curve's peak. The
//! cost is linear in the number of values.

use serde::Serialize;

use super::{histogram::linspace, moments::as_f64};

/// The points of a curve, as in seaborn.
pub const GRID_POINTS: usize = 200;

const INTERVALS: f64 = 199.0;

/// Kernels further away than so many bandwidths count as zero.
const REACH: f64 = 9.0;

/// The sum is computed directly up to so many evaluations of a kernel.
const DIRECT_MAX: f64 = 262_144.0;

/// Or if the kernel of a value reaches no more than so many points: over so wide a range there would be too many cells.
const DIRECT_POINTS_MAX: f64 = 2.0;

/// Cells per bandwidth of the binned sum, at least.
const CELLS_PER_BANDWIDTH: f64 = 128.0;

/// A curve over the range of the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Evenly spaced points.
    pub x: Vec<f64>,
    /// The height at each: a density, or counts once scaled.
    pub y: Vec<f64>,
    /// The kernels' standard deviation.
    pub bandwidth: f64,
}

impl Curve {
    /// The density of `points` (value, weight), whose weights add up to `n`, whose standard deviation (`n - 1`) is `std` and
    /// whose range is `low` to `high`; `None` when they have no spread.
    pub fn density(
        points: impl Iterator<Item = (f64, f64)> + Clone,
        n: u64,
        std: f64,
        (low, high): (f64, f64),
    ) -> Option<Self> {
        let bandwidth = std * as_f64(n).powf(-0.2);
        if n < 2 || low >= high || !(bandwidth.is_normal() && bandwidth.is_finite()) {
            return None;
        }
        let kernel = Kernel {
            low,
            spacing: (high - low) / INTERVALS,
            bandwidth,
        };
        let mut y = if kernel.is_direct(points.clone().count() as u64) {
            kernel.direct(points)
        } else {
            kernel.binned(points)
        };
        let scale = 1.0 / (as_f64(n) * bandwidth * std::f64::consts::TAU.sqrt());
        for y in &mut y {
            *y *= scale;
        }
        Some(Self {
            x: linspace(low, high, INTERVALS),
            y,
            bandwidth,
        })
    }

    /// The same curve, `factor` times as high.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for y in &mut self.y {
            *y *= factor;
        }
        self
    }
}

struct Kernel {
    low: f64,
    spacing: f64,
    bandwidth: f64,
}

impl Kernel {
    fn relative_spacing(&self) -> f64 {
        self.spacing / self.bandwidth
    }

    /// Whether a direct sum over `n` values is cheap.
    fn is_direct(&self, n: u64) -> bool {
        let points_near = (2.0 * REACH / self.relative_spacing()).min(INTERVALS + 1.0);
        points_near <= DIRECT_POINTS_MAX || points_near * as_f64(n) <= DIRECT_MAX
    }

    /// The sum of kernels at each point, value by value.
    fn direct(&self, points: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        let mut sums = vec![0.0; GRID_POINTS];
        let spacing = self.relative_spacing();
        let reach = REACH / spacing;
        for (x, weight) in points {
            let place = (x - self.low) / self.spacing;
            let first = index(place - reach);
            let last = index(place + reach + 1.0).min(GRID_POINTS - 1);
            for (i, sum) in (first..).zip(&mut sums[first..=last]) {
                let distance = (as_f64(i as u64) - place) * spacing;
                *sum += weight * (-0.5 * distance * distance).exp();
            }
        }
        sums
    }

    /// The same from fine cells.
    fn binned(&self, points: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        let per_interval = (CELLS_PER_BANDWIDTH * self.relative_spacing())
            .ceil()
            .max(1.0);
        let stride = index(per_interval);
        let cell = self.spacing / per_interval;
        let cells = share(points, self.low, cell, stride * (GRID_POINTS - 1) + 1);
        let step = cell / self.bandwidth;
        let weights: Vec<f64> = (0..=index(REACH / step))
            .map(|t| as_f64(t as u64) * step)
            .map(|distance| (-0.5 * distance * distance).exp())
            .collect();
        (0..GRID_POINTS)
            .map(|i| convolve(&cells, &weights, i * stride))
            .collect()
    }
}

/// Splits each weight between the two cells next to its value, in proportion to their nearness.
fn share(points: impl Iterator<Item = (f64, f64)>, low: f64, width: f64, n: usize) -> Vec<f64> {
    let mut cells = vec![0.0; n + 1];
    let scale = 1.0 / width;
    for (x, weight) in points {
        let place = (x - low) * scale;
        let left = index(place).min(n - 1);
        let right_share = (place - as_f64(left as u64)) * weight;
        cells[left] += weight - right_share;
        cells[left + 1] += right_share;
    }
    cells
}

/// The sum of `cells` around `centre`, each times the weight of its distance.
fn convolve(cells: &[f64], weights: &[f64], centre: usize) -> f64 {
    let right = cells[centre..]
        .iter()
        .zip(weights)
        .map(|(cell, weight)| cell * weight)
        .sum::<f64>();
    let left = cells[..centre]
        .iter()
        .rev()
        .zip(&weights[1..])
        .map(|(cell, weight)| cell * weight)
        .sum::<f64>();
    left + right
}

/// Truncates; a negative number becomes zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
#[inline]
fn index(place: f64) -> usize {
    place as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(values: &[f64], bandwidth: f64) -> Kernel {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Kernel {
            low,
            spacing: (high - low) / INTERVALS,
            bandwidth,
        }
    }

    #[test]
    fn the_binned_sum_deviates_by_less_than_a_hundred_thousandth_of_the_peak() {
        let mut state = 9_u64;
        let values: Vec<f64> = (0..20_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let u = f64::from((state >> 33) as u32) / f64::from(1_u32 << 31);
                -u.max(1e-12).ln() * 40.0
            })
            .collect();
        for bandwidth in [0.05, 0.5, 5.0, 50.0, 5000.0] {
            let kernel = kernel(&values, bandwidth);
            let points = || values.iter().map(|&x| (x, 1.0));
            let (exact, binned) = (kernel.direct(points()), kernel.binned(points()));
            let peak = exact.iter().copied().fold(0.0, f64::max);
            for (exact, binned) in exact.iter().zip(&binned) {
                assert!(
                    (exact - binned).abs() <= 1e-5 * peak,
                    "{exact} {binned} {bandwidth}"
                );
            }
        }
    }

    #[test]
    fn a_density_integrates_to_about_one_inside_its_range() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let curve =
            Curve::density(values.iter().map(|&x| (x, 1.0)), 1000, 288.8, (0.0, 999.0)).unwrap();
        let area: f64 = curve.y.iter().sum::<f64>() * 999.0 / INTERVALS;
        // Kernels at both ends lose half of themselves: about 2 h / range / sqrt(2 pi).
        assert!((0.9..1.0).contains(&area), "{area}");
    }

    #[test]
    fn what_has_no_spread_has_no_curve() {
        let points = [(3.0, 1.0); 4];
        assert_eq!(Curve::density(points.into_iter(), 4, 0.0, (3.0, 3.0)), None);
        assert_eq!(
            Curve::density([(3.0, 1.0)].into_iter(), 1, 1.0, (3.0, 4.0)),
            None
        );
    }
}
