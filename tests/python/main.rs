//! What needs Python and packages from `PyPI`: scikit-learn's own answers, and the examples.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

#[path = "../../crates/residual-model/tests/parity/agreement.rs"]
mod agreement;
#[path = "../support/ended.rs"]
mod ended;
#[path = "../../crates/residual-model/tests/parity/fixtures.rs"]
mod fixtures;
#[path = "../support/log.rs"]
mod log;
#[path = "../support/port.rs"]
mod port;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/repository.rs"]
mod repository;
#[path = "../support/servers/mod.rs"]
mod servers;

mod examples;
mod live;
