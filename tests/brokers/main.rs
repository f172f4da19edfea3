//! What needs a broker: NATS and RabbitMQ under the laws of the bus, and the binary over both.
//!
//! The tests start private servers (Debian's and Ubuntu's packages `nats-server` and `rabbitmq-server`) on loopback and may
//! kill them.
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
#[path = "../support/servers/mod.rs"]
mod servers;

mod authority;
mod bench;
mod clients;
mod encrypted;
mod hurt;
mod link;
mod nats;
mod outage;
mod pipeline;
mod rabbitmq;
mod random_kills;
mod secrets;
