//! A fine histogram whose range grows with the data, used when there are too many values to keep each.
//!
//! Promise: bounded memory ([`CELLS`] counts), an exact total, exact smallest and largest value, and adding a value is a
//! division and an increment. Of a value only its cell is known. Cells are powers of two wide, and neighbours are joined
//! when the range outgrows the grid, which moves no value out of its (now wider) cell. So no value is ever displaced by more
//! than one cell, and a cell is narrower than [`Grid::RELATIVE_CELL`] of the range (or is the smallest step between numbers
//! of that size).

use super::moments::as_f64;

/// The number of cells; 1 MiB of counts.
pub const CELLS: usize = 1 << 17;

/// Counts by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    counts: Vec<u64>,
    /// The absolute index of the first cell; cell `i` is `[i, i + 1) * width`.
    base: i64,
    width: f64,
    n: u64,
    min: f64,
    max: f64,
}

impl Grid {
    /// A cell is at most this part of the range of all values.
    pub const RELATIVE_CELL: f64 = 1.0 / 32_768.0;

    /// A grid of these finite values, of which there is at least one.
    pub fn new(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (min, max) = values
            .clone()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| {
                (min.min(x), max.max(x))
            });
        let width = first_width(min, max);
        let mut grid = Self {
            counts: vec![0; CELLS],
            base: 0,
            width,
            n: 0,
            min,
            max,
        };
        // The range takes at most half of the cells: a quarter is left free on both sides.
        let free = i64::try_from(CELLS / 4).unwrap_or(0);
        grid.base = grid.index(min) - free;
        for x in values {
            grid.push(x);
        }
        grid
    }

    /// Adds a finite value.
    #[inline]
    pub fn push(&mut self, x: f64) {
        self.n += 1;
        self.min = self.min.min(x);
        self.max = self.max.max(x);
        let index = self.index(x);
        match self.counts.get_mut(slot(index, self.base)) {
            Some(count) => *count += 1,
            None => self.push_outside(x),
        }
    }

    /// Widens the cells until the range fits, and centres the grid on it.
    #[cold]
    fn push_outside(&mut self, x: f64) {
        let mut doublings = 0;
        while (self.max / self.width).floor() - (self.min / self.width).floor() >= CELLS_F64 {
            self.width *= 2.0;
            doublings += 1;
        }
        let (first, last) = (self.index(self.min), self.index(self.max));
        self.rebase(first - (CELLS_I64 - 1 - (last - first)) / 2, doublings);
        let index = self.index(x);
        self.counts[slot(index, self.base)] += 1;
    }

    /// Joins neighbouring cells `doublings` times and lets the grid begin at `base`; all occupied cells stay inside.
    fn rebase(&mut self, base: i64, doublings: u32) {
        let mut moved = vec![0; CELLS];
        for (index, &count) in (self.base..)
            .zip(&self.counts)
            .filter(|&(_, &count)| count > 0)
        {
            // A shift rounds down, as computing the index with wider cells does.
            moved[slot(index >> doublings.min(63), base)] += count;
        }
        (self.counts, self.base) = (moved, base);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the width keeps an index below 2^54"
    )]
    #[inline]
    fn index(&self, x: f64) -> i64 {
        (x / self.width).floor() as i64
    }

    /// How many values were added.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The width of a cell.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.width
    }

    /// The smallest and the largest value.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// The occupied cells: their middle (held inside the range) and their count.
    pub fn cells(&self) -> impl Iterator<Item = (f64, u64)> + Clone {
        (self.base..)
            .zip(&self.counts)
            .filter(|&(_, &count)| count > 0)
            .map(|(index, &count)| {
                (
                    (to_f64(index) * self.width + self.width / 2.0).clamp(self.min, self.max),
                    count,
                )
            })
    }

    /// How many values are below each of `points`, which increase; values in a cell count as evenly spread.
    pub(super) fn ranks_below(&self, points: &[f64]) -> Vec<u64> {
        let mut before = 0;
        let mut cells = (self.base..).zip(self.counts.iter().copied()).peekable();
        let mut rank = |point: f64| {
            let place = point / self.width;
            while let Some(&(index, count)) = cells.peek()
                && to_f64(index + 1) <= place
            {
                before += count;
                cells.next();
            }
            let part = cells.peek().map_or(0.0, |&(index, count)| {
                (place - to_f64(index)).clamp(0.0, 1.0) * as_f64(count)
            });
            before + rounded(part)
        };
        points.iter().map(|&point| rank(point)).collect()
    }

    /// The `q` quantile; off by at most one cell.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let wanted = as_f64(self.n.saturating_sub(1)) * q;
        let mut before = 0.0;
        for (index, &count) in (self.base..)
            .zip(&self.counts)
            .filter(|&(_, &count)| count > 0)
        {
            let count = as_f64(count);
            if before + count > wanted {
                let place = to_f64(index) + (wanted - before + 0.5) / count;
                return (place.min(to_f64(index + 1)) * self.width).clamp(self.min, self.max);
            }
            before += count;
        }
        self.max
    }
}

#[expect(clippy::cast_possible_wrap, reason = "2^17")]
const CELLS_I64: i64 = CELLS as i64;

#[expect(clippy::cast_precision_loss, reason = "2^17")]
const CELLS_F64: f64 = CELLS as f64;

/// The place in `counts`; outside of it when the index is outside of the grid.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "wraps to far outside"
)]
#[inline]
fn slot(index: i64, base: i64) -> usize {
    index.wrapping_sub(base) as usize
}

/// The smallest power of two that spreads the range over at most half of the cells.
fn first_width(min: f64, max: f64) -> f64 {
    let wanted = (max - min) / as_f64(CELLS as u64 / 2);
    // Numbers of this size are 2^-52 of themselves apart, so finer cells would separate nothing.
    let finest = min.abs().max(max.abs()) * f64::EPSILON;
    let width = wanted.max(finest).max(f64::MIN_POSITIVE);
    2.0_f64.powi(exponent(width))
}

/// The exponent of the next power of two.
#[expect(clippy::cast_possible_truncation, reason = "between -1074 and 1024")]
fn exponent(x: f64) -> i32 {
    x.log2().ceil() as i32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the width keeps an index below 2^54"
)]
#[inline]
fn to_f64(index: i64) -> f64 {
    index as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a count is not negative"
)]
fn rounded(part: f64) -> u64 {
    part.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(grid: &Grid, values: &[f64]) -> Result<(), TestCaseError> {
        let (min, max) = grid.range();
        prop_assert_eq!(grid.n(), values.len() as u64);
        prop_assert_eq!(grid.cells().map(|(_, count)| count).sum::<u64>(), grid.n());
        let finest = min.abs().max(max.abs()) * f64::EPSILON * 2.0;
        prop_assert!(grid.width() <= ((max - min) * Grid::RELATIVE_CELL).max(finest));
        // Each value, in order, stands no further than a cell from where the grid has it.
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let placed = grid
            .cells()
            .flat_map(|(x, n)| std::iter::repeat_n(x, usize::try_from(n).unwrap()));
        for (value, place) in sorted.iter().zip(placed) {
            prop_assert!(
                (value - place).abs() <= grid.width(),
                "{} at {}",
                value,
                place
            );
        }
        Ok(())
    }

    proptest! {
        // A grid is a mebibyte: fewer cases than usual keep the test quick.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_value_is_displaced_by_more_than_a_cell_however_the_range_grows(
            first in prop::collection::vec(-1.0..1.0_f64, 1..50),
            later in prop::collection::vec((-1.0..1.0_f64, -3..14_i32), 0..200),
            offset in prop::sample::select(vec![0.0, 1e6, -1e12]),
        ) {
            let first: Vec<f64> = first.iter().map(|x| x + offset).collect();
            let mut grid = Grid::new(first.iter().copied());
            let mut values = first;
            check(&grid, &values)?;
            for (x, exponent) in later {
                let x = x * 10_f64.powi(exponent) + offset;
                grid.push(x);
                values.push(x);
            }
            check(&grid, &values)?;
        }
    }

    #[test]
    fn the_widest_range_fits() {
        let mut grid = Grid::new([0.0].into_iter());
        for x in [-1e300, 1e300, 5e-324, 1.0] {
            grid.push(x);
        }
        assert_eq!(grid.n(), 5);
        assert_eq!(grid.cells().map(|(_, n)| n).sum::<u64>(), 5);
    }
}
