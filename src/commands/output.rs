//! Results on standard output.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::{Context, Result};

/// Prints a result.
pub(super) fn print(result: &impl Display) -> Result<()> {
    quiet_pipe(writeln!(io::stdout().lock(), "{result}"))
}

/// Whoever reads our output may have seen enough (`| head`): that is no failure.
pub(super) fn quiet_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}
