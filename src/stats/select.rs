//! Exact quantiles of a slice, as numpy's `percentile` gives them.
//!
//! Promise: linear time, also for a million values, by one counting pass that leaves only the wanted neighbourhood to
//! be sorted.

/// Cells of the counting pass.
const CELLS: usize = 1 << 14;
/// Below this a plain selection is as fast.
const COUNTING_MIN: usize = 1 << 14;

/// The `q` quantile (0 to 1) of finite `values`, linear between neighbours; `None` without values.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    quantiles(values, [q]).map(|[value]| value)
}

/// Several quantiles in one pass.
pub(super) fn quantiles<const N: usize>(values: &[f64], qs: [f64; N]) -> Option<[f64; N]> {
    if values.is_empty() {
        return None;
    }
    let (low, high) = range(values);
    Some(if values.len() < COUNTING_MIN || low >= high {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        qs.map(|q| between(position(values.len(), q), |rank| sorted[rank]))
    } else {
        let cells = Cells::new(values, low, high);
        qs.map(|q| {
            let position = position(values.len(), q);
            let neighbours = cells.order_statistics(values, position.0);
            between(position, |rank| neighbours[rank - position.0])
        })
    })
}

fn range(values: &[f64]) -> (f64, f64) {
    // Eight lanes let the compiler keep the loop in vector registers.
    let mut low = [f64::INFINITY; 8];
    let mut high = [f64::NEG_INFINITY; 8];
    let chunks = values.chunks_exact(8);
    for &x in chunks.remainder() {
        low[0] = low[0].min(x);
        high[0] = high[0].max(x);
    }
    for chunk in chunks {
        for lane in 0..8 {
            low[lane] = low[lane].min(chunk[lane]);
            high[lane] = high[lane].max(chunk[lane]);
        }
    }
    (
        low.into_iter().fold(f64::INFINITY, f64::min),
        high.into_iter().fold(f64::NEG_INFINITY, f64::max),
    )
}

/// The rank below the quantile, the last rank, and the way between that rank and the next.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank is small and not negative"
)]
pub(super) fn position(n: usize, q: f64) -> (usize, usize, f64) {
    let last = n - 1;
    let virtual_rank = last as f64 * q.clamp(0.0, 1.0);
    let rank = virtual_rank as usize;
    (rank, last, virtual_rank - virtual_rank.floor())
}

/// numpy's interpolation, which is exact at both ends.
pub(super) fn between(
    (rank, last, way): (usize, usize, f64),
    order_statistic: impl Fn(usize) -> f64,
) -> f64 {
    let low = order_statistic(rank);
    if rank == last {
        return low;
    }
    let high = order_statistic(rank + 1);
    let difference = high - low;
    if way >= 0.5 {
        high - difference * (1.0 - way)
    } else {
        low + difference * way
    }
}

/// How many values lie in each of equal parts of the range.
struct Cells {
    counts: Vec<u32>,
    low: f64,
    scale: f64,
}

impl Cells {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    fn new(values: &[f64], low: f64, high: f64) -> Self {
        let scale = (CELLS - 1) as f64 / (high - low);
        let mut cells = Self {
            counts: vec![0; CELLS],
            low,
            scale,
        };
        for &x in values {
            let cell = cells.of(x);
            cells.counts[cell] += 1;
        }
        cells
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the minimum holds it inside"
    )]
    #[inline]
    fn of(&self, x: f64) -> usize {
        (((x - self.low) * self.scale) as usize).min(CELLS - 1)
    }

    /// The order statistics `rank` and, if there is one, `rank + 1`.
    fn order_statistics(&self, values: &[f64], rank: usize) -> [f64; 2] {
        let last = rank.saturating_add(1).min(values.len() - 1);
        let (first_cell, before) = self.cell_of_rank(rank);
        let (last_cell, _) = self.cell_of_rank(last);
        let mut near: Vec<f64> = values
            .iter()
            .copied()
            .filter(|&x| (first_cell..=last_cell).contains(&self.of(x)))
            .collect();
        let (_, at, above) = near.select_nth_unstable_by(rank - before, f64::total_cmp);
        let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*at);
        [*at, next]
    }

    /// The cell that holds `rank`, and how many values lie below it.
    fn cell_of_rank(&self, rank: usize) -> (usize, usize) {
        let mut before = 0;
        for (cell, &count) in self.counts.iter().enumerate() {
            if before + count as usize > rank {
                return (cell, before);
            }
            before += count as usize;
        }
        (CELLS - 1, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        let values = [3.0, 1.0, 2.0, 10.0];
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 0.75), Some(4.75));
        assert_eq!(quantile(&values, 1.0), Some(10.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.5), Some(7.0));
    }

    #[test]
    fn the_counting_pass_selects_what_sorting_selects() {
        let mut state = 1_u64;
        let values: Vec<f64> = (0..40_000_u32)
            .map(|i| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let x = f64::from((state >> 40) as u32) / 1e3;
                // An outlier puts nearly all values into one cell; repeated values share it anyway.
                if i == 17 {
                    1e12
                } else if i % 5 == 0 {
                    4.0
                } else {
                    x.sqrt()
                }
            })
            .collect();
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        for q in [0.0, 0.1, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999_99, 1.0] {
            let expected = between(position(sorted.len(), q), |rank| sorted[rank]);
            assert_eq!(quantile(&values, q), Some(expected), "{q}");
        }
    }
}
