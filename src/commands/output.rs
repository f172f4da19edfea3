//! Results on standard output.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::{Context, Result};

/// Prints a result.
pub(super) fn print(result: &impl Display) -> Result<()> {
    ignore_closed_pipe(writeln!(io::stdout().lock(), "{result}"))
}

/// It is not a failure when the reader of our output has seen enough, such as `| head`.
pub(super) fn ignore_closed_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
