//! `residual bench` and the proof that it prints.

use crate::{ended::Ended, process::Residual};

pub(crate) fn bench(arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["bench", "--json", "--logs", "logs"], arguments].concat();
    // The private broker has little room.
    let ended = Residual::new(folder.path(), &arguments)
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "8388608")
        .output();
    let left = std::fs::read_dir(folder.path().join("logs")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the bench's own folder is gone");
    ended
}

pub(crate) fn outcome(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&bench(arguments).success().stdout()).unwrap()
}

pub(crate) fn assert_proven(outcome: &serde_json::Value, rows: u64, stages: usize) {
    assert_eq!(outcome["expected"]["rows"], rows);
    assert_eq!(outcome["found"]["sum"], outcome["expected"]);
    assert_eq!(outcome["found"]["unique_ids"], rows);
    assert_eq!(outcome["stages"].as_array().unwrap().len(), stages);
    assert!(outcome["rows_per_second"].as_f64().unwrap() > 0.0);
}
