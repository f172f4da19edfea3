//! The `residual` binary: parses the command line, runs the command, and prints what went wrong.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use residual::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error must not change the exit code.
            drop(writeln!(std::io::stderr(), "residual: {error:#}"));
            commands::exit_code(&error)
        }
    }
}
