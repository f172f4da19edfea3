//! One test binary for everything that crosses a module: a test is a sentence with an oracle.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

mod chaos;
mod cli;
mod conformance;
mod dashboard;
mod ledger;
mod parity;
mod picture;
mod pipeline;
mod python;
mod residual;
mod simulation;
mod tidy;
