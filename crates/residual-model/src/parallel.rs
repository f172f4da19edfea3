//! Large batches in blocks of rows, spread over the cores.
//!
//! Promise: the rows are cut at the same places on every machine, so an answer does not depend on the number of cores, and
//! what is needed on the way to it is bounded by the block and not by the batch. A batch too small to pay for a thread stays on
//! the thread of the caller. The threads, at most one a core, end with the call. Deliberately absent: a pool.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::ModelError;
use crate::rows::Rows;

/// Rows of a block: with its way through a network or a forest it stays in the cache of a core.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Steps (a multiplication, a node of a tree) that pay for a thread: about a tenth of a millisecond, three times what starting
/// one costs.
const THREAD_WORK: usize = 200_000;

static CORES: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Answers block by block, in the order of the rows; `row_work` is about how many steps one row takes.
pub(crate) fn in_blocks(
    rows: &Rows,
    row_work: usize,
    answer: impl Fn(&Rows) -> Result<Rows, ModelError> + Sync,
) -> Result<Rows, ModelError> {
    if rows.n_rows() <= BLOCK_ROWS {
        return answer(rows);
    }
    let work = rows.n_rows().saturating_mul(row_work);
    let blocks = rows.n_rows().div_ceil(BLOCK_ROWS);
    let threads = (work / THREAD_WORK).clamp(1, *CORES).min(blocks);
    spread(rows, threads, &answer)
}

type Answers = Vec<(usize, Result<Rows, ModelError>)>;

/// Lets `threads` threads take block after block.
fn spread(
    rows: &Rows,
    threads: usize,
    answer: &(impl Fn(&Rows) -> Result<Rows, ModelError> + Sync),
) -> Result<Rows, ModelError> {
    let next = AtomicUsize::new(0);
    let take = || -> Answers {
        let mut answers = vec![];
        loop {
            let start = next.fetch_add(BLOCK_ROWS, Ordering::Relaxed);
            if start >= rows.n_rows() {
                return answers;
            }
            let block = rows.slice_rows(start, (start + BLOCK_ROWS).min(rows.n_rows()));
            let answered = answer(&block).map_err(|error| error.with_row_offset(start));
            let failed = answered.is_err();
            answers.push((start, answered));
            if failed {
                return answers;
            }
        }
    };
    let mut answers = thread::scope(|scope| {
        // A thread that cannot be had is done without.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, take).ok())
            .collect();
        let mut answers = take();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    answers.sort_unstable_by_key(|(start, _)| *start);
    Rows::vstack(
        rows.n_rows(),
        answers.into_iter().map(|(_, answered)| answered),
    )
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
    fn answers_stand_in_the_order_of_the_rows_whatever_the_number_of_threads() {
        for n_rows in [1, BLOCK_ROWS, BLOCK_ROWS + 1, 5 * BLOCK_ROWS - 3] {
            let rows = counted(n_rows);
            let whole = sums(&rows).unwrap();
            assert_eq!(in_blocks(&rows, 1_000, sums).unwrap(), whole);
            for threads in [1, 2, 7] {
                assert_eq!(spread(&rows, threads, &sums).unwrap(), whole);
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
            let answer = |rows: &Rows| rows.require_finite().and_then(|()| sums(rows));
            let error = spread(&rows, threads, &answer).unwrap_err();
            assert_eq!(
                error.to_string(),
                "row 263, feature 1: NaN is not a finite number"
            );
        }
    }
}
