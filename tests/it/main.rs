//! One test binary for everything that crosses a module: a test is a sentence with an oracle.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

#[path = "../../crates/residual-model/tests/parity/agreement.rs"]
mod agreement;
mod bench;
mod bundled;
mod chaos;
mod classify;
mod cli;
mod conformance;
mod dashboard;
#[path = "../../crates/residual-model/tests/parity/fixtures.rs"]
mod fixtures;
mod fuzz;
mod hostile_models;
mod ledger;
mod live;
mod outage;
mod picture;
mod picture_flags;
mod pipeline;
mod python;
mod residual;
mod secrets;
mod simulation;
mod tidy;
