//! Shortest time of one `predict` call, for each pickle in `RESIDUAL_BENCH` (else the bundled model) and four batch sizes.
//!
//! `model/speed.py` fits the models, runs this and sets scikit-learn's times beside it. Output: `model,rows,nanoseconds`.
#![expect(clippy::print_stdout, reason = "the result of a benchmark")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop there"
)]

use residual_model::{Model, Rows};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time spent on one row of the table.
const BUDGET: Duration = Duration::from_millis(300);

fn features(n_features: usize) -> Vec<f64> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/diabetes.csv"))
        .unwrap();
    text.lines()
        .skip(1)
        .flat_map(|line| {
            line.split(',')
                .take(n_features)
                .map(|cell| cell.parse().unwrap())
                .collect::<Vec<f64>>()
        })
        .collect()
}

/// The shortest of many calls: other work of the machine can only make a call longer.
fn shortest(mut call: impl FnMut()) -> u128 {
    call();
    let (mut calls, mut shortest, start) = (0, u128::MAX, Instant::now());
    while calls < 7 || start.elapsed() < BUDGET {
        let before = Instant::now();
        call();
        shortest = shortest.min(before.elapsed().as_nanos());
        calls += 1;
    }
    shortest
}

fn measure(name: &str, model: &Model) {
    let n_features = model.info().n_features;
    for n_rows in [1, 64, 1024, 16384] {
        let values = features(n_features)
            .into_iter()
            .cycle()
            .take(n_rows * n_features)
            .collect();
        let rows = Rows::new(n_features, values).unwrap();
        let nanoseconds = shortest(|| drop(black_box(model.predict(black_box(&rows)).unwrap())));
        println!("{name},{n_rows},{nanoseconds}");
    }
}

fn main() {
    let Some(folder) = std::env::var_os("RESIDUAL_BENCH") else {
        return measure("bundled", &residual::bundled::model().unwrap());
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        measure(
            &file.file_stem().unwrap().to_string_lossy(),
            &residual_model::open(&file).unwrap(),
        );
    }
}
