//! What crosses a module and needs only Rust and a Unix machine: no server, no network beyond loopback, no Python, no
//! browser. `tests/brokers`, `tests/browser` and `tests/python` have the rest.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

#[path = "../support/bench_outcome.rs"]
mod bench_outcome;
#[path = "../chaos/mod.rs"]
mod chaos;
#[path = "../conformance/mod.rs"]
mod conformance;
#[path = "../support/ended.rs"]
mod ended;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/log.rs"]
mod log;
#[path = "../support/metrics.rs"]
mod metrics;
#[path = "../support/port.rs"]
mod port;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/refused.rs"]
mod refused;
#[path = "../support/repository.rs"]
mod repository;
#[path = "../support/running.rs"]
mod running;
#[path = "../support/scikit_learn.rs"]
mod scikit_learn;
#[path = "../support/shown.rs"]
mod shown;

mod bench;
mod bundled;
mod classify;
mod cli;
mod dashboard;
mod docs;
mod embedded;
mod fuzz;
mod hostile_models;
mod ledger;
mod picture;
mod picture_flags;
mod pipeline;
mod random_kills;
mod release;
mod secrets;
mod simulation;
mod tidy;
