//! An outage as a user sees it: two lines in the log, and a stop that does not wait for the broker.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    metrics::metrics,
    process::Residual,
    servers::{nats::NatsServer, rabbitmq::RabbitServer},
};

const UNREACHABLE: &str = "broker unreachable, retrying";
const REACHABLE: &str = "broker reachable again";

/// Waits until the one message to a topic is confirmed: now nobody has anything left to send.
fn await_confirmed(address: &str, topic: &str) {
    let line = format!("residual_bus_confirmed_total{{topic=\"{topic}\"}} 1");
    let begun = Instant::now();
    while !metrics(address).lines().any(|shown| shown == line) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{line}");
        sleep(Duration::from_millis(20));
    }
}

/// The broker comes after the pipeline, goes once a row is through, and stays away.
fn an_outage_is_logged_once_and_does_not_delay_a_stop(
    url: &str,
    start: impl Fn(),
    kill9: impl Fn(),
) {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "--bus",
        url,
        "--interval",
        "1h",
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let mut running = Residual::new(folder.path(), &args)
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "1000000")
        .start();
    let mut lines = running.log_lines();
    let mut logged = Vec::new();
    let mut listen = |until: Option<&str>| {
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line).unwrap();
            let (level, message) = (
                event["level"].as_str().unwrap(),
                event["message"].as_str().unwrap(),
            );
            // The one warning that is not about the outage is about the server's age.
            if (level != "INFO" || message == REACHABLE) && !message.contains("nats-server") {
                logged.push(format!("{level} {message}"));
            }
            if until == Some(message) {
                return event;
            }
        }
        assert_eq!(until, None, "it ended before; logged: {logged:?}");
        Value::Null
    };
    listen(Some(UNREACHABLE));
    start();
    listen(Some(REACHABLE));
    let page = listen(Some("page"));
    let address = page["url"].as_str().unwrap().trim_start_matches("http://");
    listen(Some("recorded"));
    await_confirmed(address, "y_pred");
    kill9();
    listen(Some(UNREACHABLE));
    running.terminate();
    listen(None);
    let [warned, healed] = [format!("WARN {UNREACHABLE}"), format!("INFO {REACHABLE}")];
    assert_eq!(logged, [warned.clone(), healed, warned]);
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn on_nats_an_outage_is_logged_once_and_does_not_delay_a_stop() {
    let server = NatsServer::absent("");
    server.configure(&server.jetstream());
    let url = format!("nats://127.0.0.1:{}", server.port);
    an_outage_is_logged_once_and_does_not_delay_a_stop(&url, || server.start(), || server.kill9());
}

#[test]
fn on_rabbitmq_an_outage_is_logged_once_and_does_not_delay_a_stop() {
    let server = RabbitServer::absent();
    let url = format!("amqp://guest:guest@127.0.0.1:{}", server.port);
    an_outage_is_logged_once_and_does_not_delay_a_stop(&url, || server.start(), || server.kill9());
}
