//! What is said in several places about versions is the same everywhere.

use std::fs;

use crate::repository::repository;

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect(path)
}

/// The oldest Rust that Cargo.toml promises.
fn rust_version() -> String {
    let manifest = read("Cargo.toml");
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    line.expect("a rust-version").trim_matches('"').to_owned()
}

/// Versions after the words `Rust `, such as 1.90.
fn mentions(text: &str) -> Vec<String> {
    let version = |rest: &str| -> String {
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let end = rest.find(|c| !digits(c)).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_owned()
    };
    let all = text.split("Rust ").skip(1).map(version);
    all.filter(|version| !version.is_empty()).collect()
}

#[test]
fn the_oldest_rust_is_the_same_in_manifest_workflow_and_documentation() {
    let promised = rust_version();
    let workflow = read(".github/workflows/ci.yml");
    assert!(
        workflow.contains(&format!("MSRV: \"{promised}\"")),
        "the workflow does not test Rust {promised}"
    );
    for path in [
        "README.md",
        "CONTRIBUTING.md",
        "crates/residual-model/README.md",
    ] {
        for version in mentions(&read(path)) {
            assert_eq!(version, promised, "{path}");
        }
    }
    assert!(mentions(&read("CONTRIBUTING.md")).contains(&promised));
}
