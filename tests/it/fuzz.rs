//! Whatever bytes come from outside, nothing panics, hangs or allocates without bound, and what was promised of them holds: the
//! entry points of the fuzz targets in `fuzz/`, run over damaged fixtures by a seeded harness on the stable toolchain.
//!
//! `RESIDUAL_FUZZ_ROUNDS=N` damages each seed N times instead of a few. `RESIDUAL_FUZZ_CORPUS=DIR` with
//! `cargo nextest run --run-ignored only -E 'test(seeds_are_written)'` writes the seeds no fixture is for `fuzz/run`.

#[expect(unreachable_pub, reason = "it is the library of the fuzz targets, too")]
#[path = "../../fuzz/src/lib.rs"]
mod probes;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use residual::message::{Encoding, Features, Prediction, Record, RecordId, encode};
use residual::metric_log::Row;
use residual::model;

use crate::residual::repository;

/// Damages of each seed in an ordinary test run.
const ROUNDS: u64 = 8;

/// An entry point: panics when a promise is broken.
type Probe = fn(&[u8]);

/// Each target of `fuzz/` by its name.
const PROBES: [(&str, Probe); 5] = [
    ("frame", probes::frame),
    ("joblib", probes::joblib),
    ("metric_log", probes::metric_log),
    ("pickle", probes::pickle),
    ("store", probes::store),
];

fn probe(target: &str) -> Probe {
    PROBES.iter().find(|(name, _)| *name == target).unwrap().1
}

fn rounds() -> u64 {
    let rounds = env::var("RESIDUAL_FUZZ_ROUNDS");
    rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// One to eight small damages.
fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..=8) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..7) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.random()),
            4 => drop(bytes.remove(at)),
            5 => {
                let end = (at + random.random_range(1..64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let end = (at + 4).min(bytes.len());
                bytes[at..end].fill([0, 0x7f, 0xff][random.random_range(0..3)]);
            }
        }
    }
}

/// The seed itself, then damaged copies.
fn attack(target: &str, number: u64, seed: &[u8], rounds: u64) {
    let probe = probe(target);
    probe(seed);
    let mut random = ChaCha8Rng::seed_from_u64(number);
    for _ in 0..rounds {
        let mut bytes = seed.to_vec();
        mutate(&mut bytes, &mut random);
        probe(&bytes);
    }
}

/// Every file below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![];
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Models as Python wrote them.
fn models() -> Vec<PathBuf> {
    let is_model = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pkl" | "joblib"))
    };
    let mut models = files(&repository("tests/fixtures/models"));
    models.retain(is_model);
    assert!(models.len() >= 800, "only {} fixtures found", models.len());
    models
}

fn ids() -> impl Iterator<Item = RecordId> {
    let ids = [
        "a",
        "01978d2e-6f00-7000-8000-000000000001",
        "comma, \"quote\"",
    ];
    ids.into_iter().map(|id| RecordId::from_text(id).unwrap())
}

/// Seeds that are no fixtures, by target and name.
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
fn damaged_pickles_are_refused_or_predict_as_their_converted_file_does() {
    for (number, path) in (0..).zip(models()) {
        let target = path.extension().unwrap().to_str().unwrap();
        let target = if target == "pkl" { "pickle" } else { "joblib" };
        attack(target, number, &fs::read(path).unwrap(), rounds());
    }
}

#[test]
fn damaged_converted_files_are_refused_or_predict_but_never_panic() {
    for (number, path) in (0..).zip(models()) {
        let seed = model::convert(&fs::read(path).unwrap(), "a fixture").unwrap();
        attack("store", number, &seed, rounds());
    }
}

#[test]
fn damaged_frames_and_logs_keep_what_is_good_in_them_and_nothing_else() {
    for (number, (target, _, seed)) in (0..).zip(made()) {
        attack(target, number, &seed, 100 * rounds());
    }
}

#[test]
fn what_a_fuzzer_found_once_is_never_found_again() {
    for (target, probe) in PROBES {
        for path in files(&repository("fuzz/finds").join(target)) {
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
    for (number, path) in models().into_iter().enumerate() {
        let seed = model::convert(&fs::read(path).unwrap(), "a fixture").unwrap();
        fs::write(corpus.join("store").join(number.to_string()), seed).unwrap();
    }
}
