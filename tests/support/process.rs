//! The binary as a user runs it, in the background. `ended` has what runs to the end, `running` what is watched.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// A command line of `residual` in a folder of its own.
pub(crate) struct Residual {
    pub(crate) command: Command,
}

impl Residual {
    /// `residual ARGS…`, run in `folder`.
    pub(crate) fn new(folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residual"));
        command
            .current_dir(folder)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in the background.
    pub(crate) fn start(mut self) -> Running {
        Running(self.command.spawn().unwrap())
    }
}

/// A run in the background; killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
