//! The whole pipeline in one process, over a broker.

use crate::{
    log::read_log,
    process::Residual,
    scikit_learn::{SEQUENTIAL, equals_scikit_learn},
    servers::{nats::NatsServer, rabbitmq::SharedRabbit},
};

/// The same log as on the embedded bus, ids aside.
#[track_caller]
fn gives_the_same_log_on(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("pipeline-{}-", std::process::id());
    let args = [&SEQUENTIAL[..], &["--bus", url]].concat();
    Residual::new(folder.path(), &args)
        .env("RESIDUAL__BUS__PREFIX", &prefix)
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "1000000")
        .output()
        .success();
    let rows = read_log(&folder.path().join("logs/metric_log.csv"));
    assert_eq!(rows.len(), 442);
    equals_scikit_learn(&rows);
}

#[test]
fn the_whole_pipeline_runs_over_nats() {
    let server = NatsServer::with_jetstream();
    gives_the_same_log_on(&format!("nats://127.0.0.1:{}", server.port));
}

#[test]
fn the_whole_pipeline_runs_over_rabbitmq() {
    let server = SharedRabbit::join();
    gives_the_same_log_on(&format!("amqp://guest:guest@127.0.0.1:{}/%2f", server.port));
}
