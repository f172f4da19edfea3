//! The whole pipeline in one process, as a user runs it.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    log::{LogRow, read_log},
    process::Residual,
    repository::repository,
    scikit_learn::{SEQUENTIAL, equals_scikit_learn},
};

impl Residual {
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        self.command.stdin(file);
        self
    }
}

fn errors(rows: &BTreeMap<String, LogRow>) -> (f64, f64) {
    let n = f64::from(u32::try_from(rows.len()).unwrap());
    let mae = rows.values().map(|row| row.absolute_error).sum::<f64>() / n;
    let mse = rows
        .values()
        .map(|row| row.absolute_error.powi(2))
        .sum::<f64>()
        / n;
    (mae, mse.sqrt())
}

#[track_caller]
fn is_picture(path: &Path) {
    let png = fs::read(path).unwrap();
    assert!(
        png.starts_with(b"\x89PNG\r\n\x1a\n"),
        "{} is no PNG",
        path.display()
    );
}

#[test]
fn every_bundled_row_is_recorded_once_with_scikit_learns_answer() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Residual::new(folder.path(), &SEQUENTIAL).output().success();
    let rows = read_log(&folder.path().join("logs/metric_log.csv"));
    assert_eq!(rows.len(), 442);
    let (mae, rmse) = errors(&rows);
    assert_eq!(
        (format!("{mae:.6}"), format!("{rmse:.6}")),
        ("43.277452".to_owned(), "53.476129".to_owned())
    );
    equals_scikit_learn(&rows);
    is_picture(&folder.path().join("logs/error_distribution.png"));
    let summary = ended.stdout();
    for words in [
        "442",
        "43.277452",
        "53.476129",
        "metric_log.csv",
        "error_distribution.png",
    ] {
        assert!(summary.contains(words), "`{words}` is not in:\n{summary}");
    }
}

#[test]
fn the_next_run_continues_the_log() {
    let folder = tempfile::tempdir().unwrap();
    Residual::new(folder.path(), &SEQUENTIAL).output().success();
    Residual::new(folder.path(), &SEQUENTIAL).output().success();
    assert_eq!(
        read_log(&folder.path().join("logs/metric_log.csv")).len(),
        884
    );
}

#[test]
fn a_log_of_the_original_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let log = folder.path().join("logs/metric_log.csv");
    fs::write(
        &log,
        "id,y_true,y_pred,absolute_error\n1731241829.788735,81.0,143.5,62.5\n",
    )
    .unwrap();
    Residual::new(folder.path(), &SEQUENTIAL).output().success();
    let rows = read_log(&log);
    assert_eq!(rows.len(), 443);
    assert_eq!(
        rows["1731241829.788735"],
        LogRow {
            y_true: 81.0,
            y_pred: 143.5,
            absolute_error: 62.5
        }
    );
}

/// Ids of `sent` lines in order, and how many of them the bus has confirmed.
fn sent_and_confirmed(lines: &[String]) -> (Vec<String>, usize) {
    let mut sent = Vec::new();
    let mut confirmed = 0;
    for line in lines {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        match event["message"].as_str() {
            Some("sent") => sent.push(event["id"].as_str().unwrap().to_owned()),
            Some("confirmed") => {
                confirmed = usize::try_from(event["rows"].as_u64().unwrap()).unwrap();
            }
            _ => {}
        }
    }
    (sent, confirmed)
}

#[test]
fn what_was_confirmed_is_in_the_log_once_after_kill_9_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let common = [
        "run",
        "--bus",
        "embedded:bus",
        "--listen",
        "off",
        "--log-format",
        "json",
        "--log-level",
        "debug",
    ];
    let endless = [&common[..], &["--interval", "1ms", "--order", "sequential"]].concat();
    let mut confirmed_ids = Vec::new();
    for rows in [40, 90, 150] {
        let mut running = Residual::new(folder.path(), &endless).start();
        let mut lines = Vec::new();
        for line in running.log_lines() {
            let (_, confirmed) = sent_and_confirmed(std::slice::from_ref(&line));
            lines.push(line);
            if confirmed >= rows {
                break;
            }
        }
        drop(running);
        let (sent, confirmed) = sent_and_confirmed(&lines);
        confirmed_ids.extend_from_slice(&sent[..confirmed]);
    }
    Residual::new(
        folder.path(),
        &[&common[..], &["--interval", "0s", "--count", "1"]].concat(),
    )
    .output()
    .success();
    let rows = read_log(&folder.path().join("logs/metric_log.csv"));
    let missing: Vec<_> = confirmed_ids
        .iter()
        .filter(|id| !rows.contains_key(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing",
        missing.len(),
        confirmed_ids.len()
    );
}

#[test]
fn a_signal_drains_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "--interval",
        "2ms",
        "--listen",
        "off",
        "--log-format",
        "json",
    ];
    let mut running = Residual::new(folder.path(), &args).start();
    let mut lines = running.log_lines();
    let mut seen: Vec<_> = lines
        .by_ref()
        .take_while(|line| !line.contains("\"recorded\""))
        .collect();
    running.terminate();
    seen.extend(lines);
    assert_eq!(running.exit_code(), Some(0));
    let (sent, _) = sent_and_confirmed(&seen);
    let rows = read_log(&folder.path().join("logs/metric_log.csv"));
    assert!(!sent.is_empty());
    assert!(
        sent.iter().all(|id| rows.contains_key(id)),
        "{} sent, {} recorded",
        sent.len(),
        rows.len()
    );
}

#[test]
fn a_run_with_a_page_that_ends_well_warns_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut args = SEQUENTIAL;
    args[8] = "127.0.0.1:0";
    assert_eq!(args[7], "--listen");
    let ended = Residual::new(folder.path(), &args).output().success();
    assert_eq!(ended.stderr(), "");
}

#[test]
fn one_event_can_be_followed_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "--count",
        "3",
        "--interval",
        "1ms",
        "--listen",
        "off",
        "--log-format",
        "json",
    ];
    let stderr = Residual::new(folder.path(), &args)
        .output()
        .success()
        .stderr();
    let rows = read_log(&folder.path().join("logs/metric_log.csv"));
    for id in rows.keys() {
        for step in ["sent", "predicted", "recorded"] {
            let found = stderr
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let found =
                found.filter(|event| event["id"] == id.as_str() && event["message"] == step);
            assert_eq!(found.count(), 1, "{step} of {id}");
        }
    }
}

#[test]
fn rows_from_standard_input_end_the_run_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let diabetes = fs::read_to_string(repository("data/diabetes.csv")).unwrap();
    let first_11 = diabetes.lines().take(11).collect::<Vec<_>>().join(
        "
",
    );
    let args = [
        "run",
        "--source",
        "-",
        "--interval",
        "0s",
        "--listen",
        "off",
    ];
    Residual::new(folder.path(), &args)
        .stdin(&first_11)
        .output()
        .success();
    assert_eq!(
        read_log(&folder.path().join("logs/metric_log.csv")).len(),
        10
    );
}
