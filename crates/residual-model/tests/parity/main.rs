//! Models predict what scikit-learn predicts, from the pickle and from the converted file.
//!
//! The fixtures are written by `model/fixtures.py`, one folder for each version of scikit-learn. `RESIDUAL_FIXTURES=DIR` reads
//! another set instead, and `cargo nextest run --run-ignored only -E 'test(parity_table)' --no-capture` prints the table of model/README.md.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod agreement;
mod columns;
mod fixtures;
#[path = "../handmade.rs"]
mod handmade;
mod hostile;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use agreement::{TOLERANCE, check};
use fixtures::{Case, cases_in};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    env::var_os("RESIDUAL_FIXTURES").map_or_else(|| root().join("tests/fixtures"), PathBuf::from)
}

/// A linear regression of five features without names, in protocol 4.
fn linear() -> PathBuf {
    root().join("tests/fixtures/1.9.1/LinearRegression.p4.pkl")
}

/// The same as `residual convert` writes it.
fn linear_converted() -> Vec<u8> {
    residual_model::convert("a fixture", &fs::read(linear()).unwrap()).unwrap()
}

/// Every case of every version, oldest version first.
fn cases() -> Vec<Case> {
    cases_in(&folder())
}

#[test]
fn every_fixture_predicts_what_scikit_learn_predicted_when_it_was_written() {
    let cases = cases();
    assert!(cases.len() >= 800, "only {} fixtures found", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| match check(case) {
            Ok(error) if error <= if case.is_exact() { 0.0 } else { TOLERANCE } => None,
            Ok(error) => Some(format!(
                "{} {}: relative error {error:e}",
                case.version, case.name
            )),
            Err(problem) => Some(format!("{} {}: {problem}", case.version, case.name)),
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
#[ignore = "prints the table of model/README.md"]
fn parity_table() {
    let mut versions = vec![];
    let mut table: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for case in cases() {
        let cell = check(&case).map_or_else(
            |_| "refused".to_owned(),
            |error| {
                if error == 0.0 {
                    "0".to_owned()
                } else {
                    format!("{error:.0e}")
                }
            },
        );
        if !versions.contains(&case.version) {
            versions.push(case.version.clone());
        }
        table
            .entry(case.name)
            .or_default()
            .insert(case.version, cell);
    }
    println!(
        "| model | {} |\n|---|{}",
        versions.join(" | "),
        "---|".repeat(versions.len())
    );
    for (name, cells) in table {
        let row: Vec<&str> = versions
            .iter()
            .map(|version| cells.get(version).map_or("", String::as_str))
            .collect();
        println!("| {name} | {} |", row.join(" | "));
    }
}
