//! Large batches in blocks of rows, spread over the cores.
//!
//! Promise: rows are cut into the same blocks on every machine, so a result does not depend on the number of cores; intermediate
//! results take memory for a block and not for the batch. A batch that is too small to pay for a thread stays on the thread of the
//! caller. Threads, at most one for each core, end with the call. Deliberately absent: a thread pool.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::ModelError;
use crate::rows::Rows;

/// Rows of a block: few enough that a block and its intermediate results stay in the cache of a core.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Steps (a multiplication, a node of a tree) that are worth a thread of their own: they take about a tenth of a millisecond, three
/// times as long as starting a thread.
const THREAD_WORK: usize = 200_000;

static CORES: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Applies `map` to blocks of rows and puts the results together in the order of the rows. `row_work` is about how many steps one
/// row takes.
pub(crate) fn map_blocks(
    rows: &Rows,
    row_work: usize,
    map: impl Fn(&Rows) -> Result<Rows, ModelError> + Sync,
) -> Result<Rows, ModelError> {
    if rows.n_rows() <= BLOCK_ROWS {
        return map(rows);
    }
    let work = rows.n_rows().saturating_mul(row_work);
    let blocks = rows.n_rows().div_ceil(BLOCK_ROWS);
    let threads = (work / THREAD_WORK).clamp(1, *CORES).min(blocks);
    map_with_threads(rows, threads, &map)
}

type BlockResults = Vec<(usize, Result<Rows, ModelError>)>;

/// The same with a given number of threads, each of which takes block after block.
fn map_with_threads(
    rows: &Rows,
    threads: usize,
    map: &(impl Fn(&Rows) -> Result<Rows, ModelError> + Sync),
) -> Result<Rows, ModelError> {
    let next = AtomicUsize::new(0);
    let take = || -> BlockResults {
        let mut results = vec![];
        loop {
            let start = next.fetch_add(BLOCK_ROWS, Ordering::Relaxed);
            if start >= rows.n_rows() {
                return results;
            }
            let block = rows.slice_rows(start, (start + BLOCK_ROWS).min(rows.n_rows()));
            let result = map(&block).map_err(|error| error.with_row_offset(start));
            let failed = result.is_err();
            results.push((start, result));
            if failed {
                return results;
            }
        }
    };
    let mut results = thread::scope(|scope| {
        // Where the system gives no more threads, those that run share the work.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, take).ok())
            .collect();
        let mut results = take();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(start, _)| *start);
    Rows::vstack(rows.n_rows(), results.into_iter().map(|(_, result)| result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    fn counted(n_rows: usize) -> Rows {
        Rows::new(2, (0..2 * n_rows).map(|value| value as f64).collect()).unwrap()
    }

    /// Two columns become one: their sum.
    fn sums(rows: &Rows) -> Result<Rows, ModelError> {
        Rows::new(1, rows.iter().map(|row| row[0] + row[1]).collect())
    }

    #[test]
    fn results_are_in_the_order_of_the_rows_for_any_number_of_threads() {
        for n_rows in [1, BLOCK_ROWS, BLOCK_ROWS + 1, 5 * BLOCK_ROWS - 3] {
            let rows = counted(n_rows);
            let whole = sums(&rows).unwrap();
            assert_eq!(map_blocks(&rows, 1_000, sums).unwrap(), whole);
            for threads in [1, 2, 7] {
                assert_eq!(map_with_threads(&rows, threads, &sums).unwrap(), whole);
            }
        }
    }

    #[test]
    fn the_first_bad_row_is_named_by_its_place_in_the_whole_batch() {
        let mut values = counted(3 * BLOCK_ROWS).into_values();
        for row in [BLOCK_ROWS + 7, 2 * BLOCK_ROWS + 1] {
            values[2 * row + 1] = f64::NAN;
        }
        let rows = Rows::new(2, values).unwrap();
        for threads in [1, 2, 3] {
            let map = |rows: &Rows| rows.require_finite().and_then(|()| sums(rows));
            let error = map_with_threads(&rows, threads, &map).unwrap_err();
            assert_eq!(
                error.to_string(),
                "row 263, feature 1: NaN is not a finite number"
            );
        }
    }
}
