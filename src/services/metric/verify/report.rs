//! What a check found: text for people, a count for the exit code.

use std::fmt;

/// Faults that are described in words; the rest are only counted.
pub(super) const FAULTS_LISTED_MAX: usize = 20;

/// What [`super::verify`] found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rows in the log and its parts.
    pub rows: u64,
    /// Lines of `unmatched.csv`.
    pub unmatched: u64,
    /// Halves that wait in the store.
    pub pending: u64,
    /// What is no fault but worth knowing.
    pub notes: Vec<String>,
    /// The first faults, in words.
    pub faults: Vec<String>,
    /// All faults.
    pub fault_count: u64,
}

impl Report {
    /// Whether there is no fault.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.fault_count == 0
    }

    pub(super) fn fault(&mut self, text: impl FnOnce() -> String) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_LISTED_MAX {
            self.faults.push(text());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows, {} unmatched halves, {} pending",
            self.rows, self.unmatched, self.pending
        )?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault: {fault}")?;
        }
        let unlisted = self.fault_count - self.faults.len() as u64;
        if unlisted > 0 {
            writeln!(f, "and {unlisted} more faults")?;
        }
        if self.is_clean() {
            write!(f, "clean: every row adds up, every id is there once")
        } else {
            write!(f, "{} faults", self.fault_count)
        }
    }
}
