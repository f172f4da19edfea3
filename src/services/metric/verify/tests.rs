//! Every kind of fault is reported.

use std::{fs, sync::Arc};

use super::*;
use crate::services::metric::{
    Config, Kind, RunContext,
    ledger::{Flush, Ledger},
};

/// A folder with three rows, one expired truth and one waiting prediction.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut ledger = folder.open();
        ledger.begin(0);
        for (kind, id, value) in [
            (Kind::Truth, "lonely", 1.0),
            (Kind::Truth, "a", 1.0),
            (Kind::Prediction, "a", 2.5),
            (Kind::Truth, "b", 1.0),
            (Kind::Prediction, "b", 1.0),
        ] {
            ledger.accept(0, kind, RecordId::from_text(id).unwrap(), value, 1_000);
        }
        ledger.commit(200_000, Flush::All).unwrap();
        ledger.begin(1);
        let waiting = RecordId::from_text("waiting").unwrap();
        ledger.accept(1, Kind::Prediction, waiting, 1.0, 200_000);
        ledger.commit(200_000, Flush::All).unwrap();
        folder
    }

    fn open(&self) -> Ledger {
        let config = Config {
            age_max_ms: 100_000,
            ..Config::default()
        };
        Ledger::open(
            Arc::new(RealDisk),
            self.0.path(),
            config,
            RunContext::default(),
            1_000,
        )
        .unwrap()
    }

    fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let path = self.0.path().join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, edit(text)).unwrap();
    }

    fn verify(&self) -> Report {
        verify(self.0.path()).unwrap()
    }

    fn only_fault(&self) -> String {
        let report = self.verify();
        assert_eq!(report.fault_count, 1, "{report}");
        assert!(report.to_string().ends_with("1 faults"));
        report.faults[0].clone()
    }
}

#[test]
fn a_folder_as_the_ledger_leaves_it_is_clean() {
    let report = Folder::new().verify();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.rows, report.unmatched, report.pending), (2, 1, 1));
    assert!(report.notes.is_empty(), "{report}");
}

#[test]
fn a_wrong_sum_is_named_with_its_line() {
    let folder = Folder::new();
    folder.edit("metric_log.csv", |text| {
        text.replace("1.0,2.5,1.5", "1.0,2.5,1.4")
    });
    let fault = folder.only_fault();
    assert!(fault.contains("line 2: absolute_error is 1.4"), "{fault}");
}

#[test]
fn a_doubled_row_is_named_with_both_lines() {
    let folder = Folder::new();
    folder.edit("metric_log.csv", |text| text + "a,1.0,2.5,1.5\n");
    let fault = folder.only_fault();
    assert!(
        fault.contains("line 2") && fault.contains("line 4"),
        "{fault}"
    );
}

#[test]
fn a_lost_row_is_missed() {
    let folder = Folder::new();
    folder.edit("metric_log.csv", |text| text.replace("b,1.0,1.0,0.0\n", ""));
    let fault = folder.only_fault();
    assert!(fault.contains("counts 2 rows, the log has 1"), "{fault}");
}

#[test]
fn an_id_that_expired_and_is_recorded_is_a_fault() {
    let folder = Folder::new();
    folder.edit("metric_log.csv", |text| {
        text.replace("b,1.0,1.0", "lonely,1.0,1.0")
    });
    let fault = folder.only_fault();
    assert!(
        fault.contains("lonely in") && fault.contains("unmatched.csv"),
        "{fault}"
    );
}

#[test]
fn what_a_killed_process_leaves_is_no_fault() {
    let folder = Folder::new();
    folder.edit("metric_log.csv", |text| {
        text + "waiting,1.0,1.0,0.0\ntorn,1.0,"
    });
    let report = folder.verify();
    assert!(report.is_clean() && report.notes.len() == 2, "{report}");
    assert_eq!(folder.open().progress().rows, 3);
    let report = folder.verify();
    assert!(report.is_clean() && report.notes.is_empty(), "{report}");
}

#[test]
fn the_original_s_log_is_checked_without_a_store() {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.edit("metric_log.csv", |_| {
        format!("{HEADER}\n1731241829.788735,217.0,155.5,61.5\n")
    });
    assert!(folder.verify().is_clean());
    assert!(!folder.0.path().join(".residual").exists());
}

#[test]
fn a_running_process_is_respected() {
    let folder = Folder::new();
    let layout = Layout::with_suffix(folder.0.path(), "");
    let _lock = RealDisk.lock(&layout.lock).unwrap().unwrap();
    let error = verify(folder.0.path()).unwrap_err();
    assert!(matches!(error, MetricError::Locked { .. }), "{error}");
}

/// A folder with nothing but a log of these rows.
fn bare(rows: &str) -> Folder {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.edit("metric_log.csv", |_| format!("{HEADER}\n{rows}"));
    folder
}

#[test]
fn a_log_of_labels_is_clean_whether_or_not_anybody_says_so() {
    let folder = bare("a,2.0,0.0,1.0\nb,1.0,1.0,0.0\nc,1.0,0.0,1.0\n");
    for choice in [TaskChoice::Auto, TaskChoice::Classification] {
        let report = verify_as(folder.0.path(), choice).unwrap();
        assert!(report.is_clean(), "{report}");
    }
    let report = verify_as(folder.0.path(), TaskChoice::Regression).unwrap();
    assert_eq!(report.fault_count, 1, "{report}");
    assert!(report.faults[0].contains("line 2: absolute_error is 1.0, |y_true - y_pred| is 2.0"));
}

#[test]
fn a_log_of_numbers_and_labels_is_said_to_be_mixed_with_a_row_of_each() {
    let folder = bare("a,2.0,0.0,1.0\nb,1.0,1.0,0.0\nc,5.0,2.5,2.5\nd,7.0,2.5,4.5\n");
    let fault = folder.only_fault();
    assert!(
        fault.contains("the log is mixed: 2 rows are of a regression"),
        "{fault}"
    );
    assert!(
        fault.contains("line 4") && fault.contains("line 2"),
        "{fault}"
    );
}

#[test]
fn what_the_folder_says_of_its_log_holds() {
    let folder = bare("a,5.0,2.5,2.5\n");
    let spec = crate::task::TaskSpec::of_labels(None);
    crate::metric_log::write_task(&RealDisk, folder.0.path(), &spec).unwrap();
    let fault = folder.only_fault();
    assert!(
        fault.contains("of labels it is 0.0 when they are equal, else 1.0, here 1.0"),
        "{fault}"
    );
}
