//! Exact quantiles of a slice, as numpy's `percentile` gives them.
//!
//! The range is divided into 16384 equal cells. One pass counts the values in each cell, a second collects those in the
//! cells of the wanted ranks, and only these are sorted. If an outlier puts nearly all values into one cell, nearly all are
//! sorted.

/// Cells of the counting pass.
const CELLS: usize = 1 << 14;
const CELLS_F64: f64 = 16_384.0;
/// With fewer values, sorting all is as fast.
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
    let positions = qs.map(|q| position(values.len(), q));
    Some(if values.len() < COUNTING_MIN || low >= high {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        positions.map(|position| between(position, |rank| sorted[rank]))
    } else {
        let selection = RankSelection::new(values, low, high, &positions);
        positions.map(|position| between(position, |rank| selection.order_statistic(rank)))
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

/// The rank below the quantile, the last rank, and how far the quantile is from that rank to the next.
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

/// The values of some ranks and those that share a cell with them, sorted.
struct RankSelection {
    values: Vec<f64>,
    /// For each cell that was kept: its first rank, and where it starts in `values`.
    runs: Vec<(usize, usize)>,
}

impl RankSelection {
    fn new(values: &[f64], low: f64, high: f64, positions: &[(usize, usize, f64)]) -> Self {
        let cells = UniformCells {
            low,
            scale: CELLS_F64 / (high - low),
        };
        let mut counts = vec![0_u32; CELLS];
        for &x in values {
            counts[cells.index(x)] += 1;
        }
        let wanted = |from: usize, to: usize| {
            positions
                .iter()
                .any(|&(rank, last, _)| from <= (rank + 1).min(last) && rank < to)
        };
        let (mut kept, mut runs) = (vec![false; CELLS], Vec::new());
        let (mut rank, mut start) = (0, 0);
        for (cell, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let next = rank + count as usize;
            if wanted(rank, next) {
                kept[cell] = true;
                runs.push((rank, start));
                start += count as usize;
            }
            rank = next;
        }
        let mut selected: Vec<f64> = Vec::with_capacity(start);
        selected.extend(values.iter().filter(|&&x| kept[cells.index(x)]));
        // UniformCells are in order, so sorting everything kept sorts each cell in its place.
        selected.sort_unstable_by(f64::total_cmp);
        Self {
            values: selected,
            runs,
        }
    }

    fn order_statistic(&self, rank: usize) -> f64 {
        let run = self.runs.partition_point(|&(first, _)| first <= rank) - 1;
        let (first, start) = self.runs[run];
        self.values[start + rank - first]
    }
}

/// Cells that divide the range equally.
struct UniformCells {
    low: f64,
    scale: f64,
}

impl UniformCells {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the minimum holds it inside"
    )]
    #[inline]
    fn index(&self, x: f64) -> usize {
        (((x - self.low) * self.scale) as usize).min(CELLS - 1)
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
