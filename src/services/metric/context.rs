//! What the ledger must know that is no setting of its own.

use crate::{message::RunTag, task::TaskSpec};

/// Settled when the process starts, from the model, the settings of other parts, and the logs folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunContext {
    /// What the predictions are, and so what the error of a row is.
    pub spec: TaskSpec,
    /// Lengths of the windows of the log-loss; the page's own.
    pub windows: Windows,
    /// The run whose rows are counted and timed; without one, all rows that this process records.
    pub run: Option<RunTag>,
}

/// Lengths of the windows over which a log-loss is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The last so many rows.
    pub rows: usize,
    /// The last so many milliseconds.
    pub ms: u64,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            rows: 1_000,
            ms: 5 * 60 * 1_000,
        }
    }
}
