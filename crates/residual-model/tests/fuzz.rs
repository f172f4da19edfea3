//! No bytes that claim to be a model make it panic, hang or allocate without bound: the entry points of the fuzz targets in `fuzz/`,
//! run over damaged fixtures.
//!
//! `RESIDUAL_FUZZ_CORPUS=DIR` with `cargo nextest run --run-ignored only -E 'test(seeds_are_written)'` writes those seeds
//! of `fuzz/run` that are not fixtures.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod damage;
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets, too")]
#[path = "../fuzz/src/lib.rs"]
mod probes;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use damage::{Probe, attack, files, finds, rounds};

/// Each target of `fuzz/` by its name.
const PROBES: [(&str, Probe); 3] = [
    ("joblib", probes::joblib),
    ("pickle", probes::pickle),
    ("store", probes::store),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Models as Python wrote them.
fn models() -> Vec<PathBuf> {
    let is_model = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pkl" | "joblib"))
    };
    let mut models = files(&root().join("tests/fixtures"));
    models.retain(is_model);
    assert!(models.len() >= 800, "only {} fixtures found", models.len());
    models
}

#[test]
fn damaged_pickles_are_refused_or_predict_as_their_converted_file_does() {
    for (number, path) in (0..).zip(models()) {
        let is_pickle = path.extension().unwrap() == "pkl";
        let probe = if is_pickle {
            probes::pickle
        } else {
            probes::joblib
        };
        attack(probe, number, &fs::read(path).unwrap(), rounds());
    }
}

#[test]
fn damaged_converted_files_are_refused_or_predict_but_never_panic() {
    for (number, path) in (0..).zip(models()) {
        let seed = residual_model::convert("a fixture", &fs::read(path).unwrap()).unwrap();
        attack(probes::store, number, &seed, rounds());
    }
}

#[test]
fn what_a_fuzzer_found_once_is_never_found_again() {
    for (target, probe) in PROBES {
        for path in finds(&root().join("fuzz"), target) {
            println!("{}", path.display());
            probe(&fs::read(path).unwrap());
        }
    }
}

#[test]
#[ignore = "writes the seeds of fuzz/run"]
fn model_seeds_are_written() {
    let corpus = PathBuf::from(env::var_os("RESIDUAL_FUZZ_CORPUS").expect("where to write them"));
    for (target, _) in PROBES {
        fs::create_dir_all(corpus.join(target)).unwrap();
    }
    for (number, path) in models().into_iter().enumerate() {
        let seed = residual_model::convert("a fixture", &fs::read(path).unwrap()).unwrap();
        fs::write(corpus.join("store").join(number.to_string()), seed).unwrap();
    }
}
