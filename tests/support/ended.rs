//! Runs of the binary to their end: exit code and output.

use std::process::Output;

use crate::process::Residual;

impl Residual {
    /// Runs to the end.
    pub(crate) fn output(mut self) -> Ended {
        Ended(self.command.output().unwrap())
    }
}

/// A finished run.
pub(crate) struct Ended(pub(crate) Output);

impl Ended {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(
            self.0.status.success(),
            "{:?}\n{}",
            self.0.status,
            self.stderr()
        );
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}
