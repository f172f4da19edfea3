//! One test binary for everything that crosses a module: a test is a sentence with an oracle.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

mod bench;
mod chaos;
mod classify;
mod cli;
mod conformance;
mod dashboard;
mod fuzz;
mod ledger;
mod outage;
mod parity;
mod picture;
mod picture_flags;
mod pipeline;
mod python;
mod residual;
mod secrets;
mod simulation;
mod tidy;
