//! Damages bytes at random, from a seed: what a fuzzer does for hours, for a bounded time on the stable toolchain. The root package
//! includes this file in its tests, too.
//!
//! `RESIDUAL_FUZZ_ROUNDS=N` damages each input N times instead of a few.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// How often each input is damaged in an ordinary test run.
const ROUNDS: u64 = 8;

/// An entry point: panics when a promise is broken.
pub(crate) type Probe = fn(&[u8]);

pub(crate) fn rounds() -> u64 {
    let rounds = env::var("RESIDUAL_FUZZ_ROUNDS");
    rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Changes the bytes in one to eight places.
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

/// Runs the probe over the input itself, then over damaged copies.
pub(crate) fn attack(probe: Probe, number: u64, seed: &[u8], rounds: u64) {
    probe(seed);
    let mut random = ChaCha8Rng::seed_from_u64(number);
    for _ in 0..rounds {
        let mut bytes = seed.to_vec();
        mutate(&mut bytes, &mut random);
        probe(&bytes);
    }
}

/// Every file below a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
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

/// What a fuzzer once found and is kept in `finds/TARGET` below this folder.
pub(crate) fn finds(folder: &Path, target: &str) -> Vec<PathBuf> {
    files(&folder.join("finds").join(target))
}
