//! Damaged real models never panic, hang or allocate without bound: a seeded mutation harness on the stable toolchain.
//!
//! `RESIDUAL_FUZZ_ROUNDS=N` mutates each seed file N times instead of a few.

use std::env;
use std::fs;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use residual::model::{self, Rows};

use super::fixtures::cases;

/// Mutations of each seed file in an ordinary test run.
const ROUNDS: u64 = 12;

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

/// Opening and asking may fail, and may give any number; nothing else.
fn probe(bytes: &[u8]) {
    if let Ok(model) = model::open_bytes("mutant", bytes) {
        let width = model.info().n_features;
        if width <= 1_000 {
            let rows = Rows::new(width.max(1), vec![0.5; 2 * width.max(1)]).unwrap();
            drop(model.predict(&rows));
            drop(model.predict_proba(&rows));
        }
    }
}

#[test]
fn mutated_models_are_refused_or_predict_but_never_panic() {
    let rounds = env::var("RESIDUAL_FUZZ_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let files = cases().into_iter().flat_map(|case| case.files);
    for (seed, file) in files.enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let original = fs::read(&file).unwrap();
        let converted = model::convert(&original, "seed").ok();
        for seed in [Some(original), converted].into_iter().flatten() {
            for _ in 0..rounds {
                let mut bytes = seed.clone();
                mutate(&mut bytes, &mut random);
                probe(&bytes);
            }
        }
    }
}
