//! `residual bench` proves what it measures: the rows in the log are those of an offline computation.

use crate::{
    conformance::servers::NatsServer,
    residual::{Ended, Residual},
};

fn bench(arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["bench", "--json", "--logs", "logs"], arguments].concat();
    // The private broker has little room.
    let ended = Residual::new(folder.path(), &arguments)
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "8388608")
        .output();
    let left = std::fs::read_dir(folder.path().join("logs")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the bench's own folder is gone");
    ended
}

fn outcome(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&bench(arguments).success().stdout()).unwrap()
}

fn assert_proven(outcome: &serde_json::Value, rows: u64, stages: usize) {
    assert_eq!(outcome["expected"]["rows"], rows);
    assert_eq!(outcome["found"]["sum"], outcome["expected"]);
    assert_eq!(outcome["found"]["unique_ids"], rows);
    assert_eq!(outcome["stages"].as_array().unwrap().len(), stages);
    assert!(outcome["rows_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_bench_on_disk_is_proven_and_leaves_nothing_behind() {
    let outcome = outcome(&["--rows", "3000"]);
    assert_proven(&outcome, 3_000, 1);
    assert_eq!(outcome["broker"]["is_durable"], true);
}

#[test]
fn a_bench_in_memory_says_so() {
    let outcome = outcome(&["--rows", "3000", "--memory"]);
    assert_proven(&outcome, 3_000, 1);
    assert_eq!(outcome["broker"]["is_durable"], false);
}

#[test]
fn a_paced_bench_tells_how_long_rows_are_on_their_way() {
    let outcome = outcome(&["--rows", "200", "--rate", "1000"]);
    assert_proven(&outcome, 200, 1);
    let seconds = outcome["times"]["span_s"].as_f64().unwrap();
    assert!(
        seconds >= 0.19,
        "200 rows at 1000 a second took {seconds} s"
    );
}

#[test]
fn a_bench_of_processes_over_nats_is_proven() {
    let nats = NatsServer::with_jetstream();
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let outcome = outcome(&["--rows", "20000", "--processes", "--bus", &url]);
    assert_proven(&outcome, 20_000, 3);
}

#[test]
fn what_a_bench_cannot_do_is_refused_with_the_mend() {
    for (arguments, words) in [
        (&["--processes"][..], "needs a broker"),
        (
            &["--memory", "--bus", "nats://127.0.0.1:1"],
            "`--memory` is for the embedded bus",
        ),
        (&["--rows", "0"], "expected 1 to"),
    ] {
        bench(arguments).fails_with(2, &[words]);
    }
}
