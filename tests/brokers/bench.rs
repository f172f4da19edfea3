//! `residual bench` of separate processes over a broker.

use crate::{
    bench_outcome::{assert_proven, outcome},
    servers::nats::NatsServer,
};

#[test]
fn a_bench_of_processes_over_nats_is_proven() {
    let nats = NatsServer::with_jetstream();
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let outcome = outcome(&["--rows", "20000", "--processes", "--bus", &url]);
    assert_proven(&outcome, 20_000, 3);
}
