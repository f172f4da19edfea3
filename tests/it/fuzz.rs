//! Whatever bytes come from outside as a frame or a log, nothing panics, hangs or allocates without bound, and what is promised
//! of them holds: the entry points of the fuzz targets in `fuzz/`, run over damaged seeds. Models have theirs in their crate.
//!
//! `RESIDUAL_FUZZ_CORPUS=DIR` with `cargo nextest run --run-ignored only -E 'test(seeds_are_written)'` writes the seeds for
//! `fuzz/run`.

#[path = "../../crates/residual-model/tests/damage.rs"]
mod damage;
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets, too")]
#[path = "../../fuzz/src/lib.rs"]
mod probes;

use std::env;
use std::fs;
use std::path::PathBuf;

use residual::message::{Encoding, Features, Prediction, Record, RecordId, encode};
use residual::metric_log::Row;

use crate::repository::repository;
use damage::{Probe, attack, finds, rounds};

/// Each target of `fuzz/` by its name.
const PROBES: [(&str, Probe); 2] = [("frame", probes::frame), ("metric_log", probes::metric_log)];

fn probe(target: &str) -> Probe {
    PROBES.iter().find(|(name, _)| *name == target).unwrap().1
}

fn ids() -> impl Iterator<Item = RecordId> {
    let ids = [
        "a",
        "01978d2e-6f00-7000-8000-000000000001",
        "comma, \"quote\"",
    ];
    ids.into_iter().map(|id| RecordId::from_text(id).unwrap())
}

/// Seeds that are not fixtures, by target and name.
fn made() -> Vec<(&'static str, String, Vec<u8>)> {
    let features: Vec<_> = ids()
        .map(|id| Record {
            id,
            body: Features(vec![0.25, -1e-9, 3.0]),
        })
        .collect();
    let predictions: Vec<_> = ids()
        .map(|id| Record {
            id,
            body: Prediction::new(151.0),
        })
        .collect();
    let number = br#"{"id": 1718000000.123456, "body": 151}"#;
    let mut seeds = vec![("frame", "number".to_owned(), number.to_vec())];
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let mut frame = |topic: &str, body: &[u8]| {
            seeds.push(("frame", format!("{topic}-{encoding:?}"), body.to_vec()));
        };
        frame("features", &encode(&features, encoding).body);
        frame("predictions", &encode(&predictions, encoding).body);
    }
    let mut lines = vec![];
    for id in ids() {
        Row::new(id, 151.0, 206.117).push_line(&mut lines);
    }
    seeds.push(("metric_log", "rows".to_owned(), lines));
    seeds
}

#[test]
fn damaged_frames_and_logs_keep_what_is_good_in_them_and_nothing_else() {
    for (number, (target, _, seed)) in (0..).zip(made()) {
        attack(probe(target), number, &seed, 100 * rounds());
    }
}

#[test]
fn what_a_fuzzer_found_once_is_never_found_again() {
    for (target, probe) in PROBES {
        for path in finds(&repository("fuzz"), target) {
            println!("{}", path.display());
            probe(&fs::read(path).unwrap());
        }
    }
}

#[test]
#[ignore = "writes the seeds of fuzz/run"]
fn seeds_are_written() {
    let corpus = PathBuf::from(env::var_os("RESIDUAL_FUZZ_CORPUS").expect("where to write them"));
    for (target, _) in PROBES {
        fs::create_dir_all(corpus.join(target)).unwrap();
    }
    for (target, name, seed) in made() {
        fs::write(corpus.join(target).join(name), seed).unwrap();
    }
}
