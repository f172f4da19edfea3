//! The bundled rows and what scikit-learn predicts for them.

use std::collections::BTreeMap;

use crate::{log::LogRow, repository::repository};

/// scikit-learn's predictions for the bundled rows, made by `model/make.py`: one column, `y_pred`.
pub(crate) const REFERENCE: &str = "tests/fixtures/diabetes_linear.csv";

/// A run over each bundled row once, in order.
pub(crate) const SEQUENTIAL: [&str; 11] = [
    "run",
    "--count",
    "442",
    "--order",
    "sequential",
    "--interval",
    "0s",
    "--listen",
    "off",
    "--log-level",
    "warn",
];

/// The true answers of the bundled rows beside scikit-learn's predictions, sorted.
fn reference() -> Vec<(f64, f64)> {
    let column = |path, at: usize| -> Vec<f64> {
        let mut reader = csv::Reader::from_path(repository(path)).unwrap();
        reader
            .records()
            .map(|record| record.unwrap()[at].parse().unwrap())
            .collect()
    };
    let truths = column("data/diabetes.csv", 10);
    let mut pairs: Vec<_> = truths.into_iter().zip(column(REFERENCE, 0)).collect();
    pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
    pairs
}

/// Both sides are sorted by the true answer, then by the prediction.
#[track_caller]
pub(crate) fn equals_scikit_learn(rows: &BTreeMap<String, LogRow>) {
    let mut pairs: Vec<_> = rows.values().map(|row| (row.y_true, row.y_pred)).collect();
    pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
    for (ours, theirs) in pairs.iter().zip(reference()) {
        assert_eq!(ours.0, theirs.0);
        assert!(
            (ours.1 - theirs.1).abs() <= 1e-9 * theirs.1.abs(),
            "{ours:?} {theirs:?}"
        );
    }
}
