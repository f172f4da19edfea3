//! How many of the recorded rows are of the run that somebody waits for.

use crate::message::{RecordId, RunTag};

/// Counts the rows of one run, or all rows where no run is named.
#[derive(Debug)]
pub(super) struct RunRows {
    run: Option<RunTag>,
    count: u64,
    /// For each row that was replayed when the ledger was opened, in order, whether it is of the run.
    replayed: Vec<bool>,
}

impl RunRows {
    pub(super) fn new(run: Option<RunTag>) -> Self {
        Self {
            run,
            count: 0,
            replayed: Vec::new(),
        }
    }

    /// A row of the log that the store did not know yet. It counts only if [`RunRows::resume`] says so.
    pub(super) fn note_replayed(&mut self, id: &RecordId) {
        let is_of_run = self.is_of_run(id);
        self.replayed.push(is_of_run);
    }

    /// Counts a row that was just recorded; true when it is of the run.
    pub(super) fn record(&mut self, id: &RecordId) -> bool {
        let is_of_run = self.is_of_run(id);
        self.count += u64::from(is_of_run);
        is_of_run
    }

    /// Goes on from an earlier ledger of this process, which had reported `count` rows of the run. The `unreported`
    /// newest of the replayed rows were recorded by it too, but it failed before it could say so.
    pub(super) fn resume(&mut self, count: u64, unreported: u64) {
        let unreported = usize::try_from(unreported).unwrap_or(usize::MAX);
        let newest = self.replayed.iter().rev().take(unreported);
        self.count = count + newest.filter(|is_of_run| **is_of_run).count() as u64;
    }

    /// Rows of the run.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Rows that were replayed, of this run or not.
    pub(super) fn replayed(&self) -> usize {
        self.replayed.len()
    }

    fn is_of_run(&self, id: &RecordId) -> bool {
        self.run.is_none_or(|run| id.run_tag() == Some(run))
    }
}
