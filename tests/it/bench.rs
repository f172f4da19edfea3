//! `residual bench` proves what it measures: the rows in the log are those of an offline computation.

use crate::bench_outcome::{assert_proven, bench, outcome};

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
fn a_paced_bench_measures_how_long_rows_are_on_their_way() {
    let outcome = outcome(&["--rows", "200", "--rate", "1000"]);
    assert_proven(&outcome, 200, 1);
    let seconds = outcome["times"]["span_s"].as_f64().unwrap();
    assert!(
        seconds >= 0.19,
        "200 rows at 1000 a second took {seconds} s"
    );
}

#[test]
fn what_a_bench_cannot_do_is_refused_with_a_remedy() {
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
