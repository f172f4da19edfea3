//! Equal bins as numpy chooses and fills them.
//!
//! Promise: edges are those of numpy 2's `histogram_bin_edges(x, "auto")` and counts those of `numpy.histogram`. Where
//! numpy raises an error, because there are more bins than numbers between the ends, there are fewer bins instead. There
//! are never more than `max(2 sqrt(n), log2(n) + 1)` bins, rounded up.

use serde::Serialize;

use super::{grid::Grid, moments::as_f64};

/// Counts between edges; `edges` has one more entry than `counts`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Strictly increasing.
    pub edges: Vec<f64>,
    /// A bin takes its lower edge and not its upper one, but the last bin takes both.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Of finite `values`; one empty bin from 0 to 1 without any.
    #[must_use]
    pub fn auto(values: &[f64]) -> Self {
        let Some([low, lower_quartile, upper_quartile, high]) =
            super::select::quantiles(values, [0.0, 0.25, 0.75, 1.0])
        else {
            return Self {
                edges: vec![0.0, 1.0],
                counts: vec![0],
            };
        };
        let n = values.len() as u64;
        Self::of_values(
            auto_edges(n, low, high, upper_quartile - lower_quartile),
            values,
        )
    }

    /// Counts finite `values`, all of which lie between the first and the last of `edges`, which are evenly spaced.
    pub(super) fn of_values(edges: Vec<f64>, values: &[f64]) -> Self {
        let mut counts = vec![0; edges.len() - 1];
        let finder = BinFinder::new(&edges);
        for &x in values {
            counts[finder.bin(x)] += 1;
        }
        Self { edges, counts }
    }

    /// Distributes the grid's counts over bins; the total stays exact.
    pub(super) fn of_grid(edges: Vec<f64>, grid: &Grid) -> Self {
        // Ranks are rounded, not counts, so that the differences add up to the total.
        let mut ranks: Vec<u64> = grid.ranks_below(&edges);
        if let [first, .., last] = ranks.as_mut_slice() {
            (*first, *last) = (0, grid.n());
        }
        let counts = ranks
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        Self { edges, counts }
    }

    /// The sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The area of all bars, by which seaborn scales the density to counts.
    pub(super) fn area(&self) -> f64 {
        self.edges
            .windows(2)
            .zip(&self.counts)
            .map(|(e, &c)| (e[1] - e[0]) * as_f64(c))
            .sum()
    }
}

/// The edges for `n` values between `low` and `high` with the given interquartile range.
pub(super) fn auto_edges(n: u64, low: f64, high: f64, iqr: f64) -> Vec<f64> {
    let range = high - low;
    let width = auto_width(as_f64(n), range, iqr);
    let mut bins = if width > 0.0 {
        (range / width).ceil().clamp(1.0, 1e9)
    } else {
        1.0
    };
    let (low, high) = widened(low, high);
    loop {
        let edges = linspace(low, high, bins);
        if edges.windows(2).all(|pair| pair[0] < pair[1]) || bins <= 1.0 {
            return edges;
        }
        bins = (bins / 2.0).floor();
    }
}

/// numpy's rule: the Freedman-Diaconis width, but at least half the width of the square-root rule and at most Sturges'.
fn auto_width(n: f64, range: f64, iqr: f64) -> f64 {
    let freedman_diaconis = 2.0 * iqr * n.powf(-1.0 / 3.0);
    let sturges = range / (n.log2() + 1.0);
    let square_root = range / n.sqrt();
    freedman_diaconis.max(square_root / 2.0).min(sturges)
}

/// A range that is not empty. numpy adds 0.5 on both sides, which would change nothing for huge numbers.
fn widened(low: f64, high: f64) -> (f64, f64) {
    if low < high {
        return (low, high);
    }
    let half = 0.5_f64.max(low.abs() * 4.0 * f64::EPSILON);
    (low - half, high + half)
}

/// `bins + 1` even points, the last exactly `high`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of bins is positive and bounded by its caller"
)]
pub(super) fn linspace(low: f64, high: f64, bins: f64) -> Vec<f64> {
    let step = (high - low) / bins;
    let mut points: Vec<f64> = (0..=bins as u64).map(|i| as_f64(i) * step + low).collect();
    if let Some(last) = points.last_mut() {
        *last = high;
    }
    points
}

/// Finds bins by scaling, then corrects rounding errors at the edges.
struct BinFinder<'a> {
    edges: &'a [f64],
    low: f64,
    scale: f64,
}

impl<'a> BinFinder<'a> {
    fn new(edges: &'a [f64]) -> Self {
        let (low, high) = (edges[0], edges[edges.len() - 1]);
        Self {
            edges,
            low,
            scale: as_f64(edges.len() as u64 - 1) / (high - low),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the minimum holds it inside"
    )]
    #[inline]
    fn bin(&self, x: f64) -> usize {
        let last = self.edges.len() - 2;
        let guess = (((x - self.low) * self.scale) as usize).min(last);
        if x < self.edges[guess] {
            guess.saturating_sub(1)
        } else if x >= self.edges[guess + 1] && guess < last {
            guess + 1
        } else {
            guess
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_values_make_one_empty_bin() {
        let histogram = Histogram::auto(&[]);
        assert_eq!(
            (histogram.edges, histogram.counts),
            (vec![0.0, 1.0], vec![0])
        );
    }

    #[test]
    fn a_constant_gets_one_bin_of_width_one() {
        let histogram = Histogram::auto(&[3.0; 9]);
        assert_eq!(
            (histogram.edges, histogram.counts),
            (vec![2.5, 3.5], vec![9])
        );
        let histogram = Histogram::auto(&[1e20; 2]);
        assert_eq!(histogram.counts, vec![2]);
        assert!(histogram.edges[0] < 1e20 && histogram.edges[1] > 1e20);
    }

    #[test]
    fn neighbouring_numbers_get_fewer_bins_instead_of_an_error() {
        let low = 1e16;
        let histogram = Histogram::auto(&[low, low, low, low + 2.0, low + 2.0]);
        assert_eq!(histogram.total(), 5);
        assert!(histogram.edges.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn each_value_is_counted_in_the_bin_that_holds_it(
            values in prop::collection::vec(-1e3..1e3_f64, 1..300),
        ) {
            let histogram = Histogram::auto(&values);
            let last = histogram.counts.len() - 1;
            for (bin, &count) in histogram.counts.iter().enumerate() {
                let (low, high) = (histogram.edges[bin], histogram.edges[bin + 1]);
                let inside = values
                    .iter()
                    .filter(|&&x| low <= x && (x < high || (bin == last && x <= high)));
                prop_assert_eq!(inside.count() as u64, count);
            }
        }
    }
}
