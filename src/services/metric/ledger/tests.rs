//! What the ledger does with groups, restarts and policies.

use std::fs;

use super::*;
use crate::{message::RecordId, services::metric::RunContext};

struct Bench {
    folder: tempfile::TempDir,
    config: Config,
    spec: TaskSpec,
    now_ms: UnixMs,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            config: Config::default(),
            spec: TaskSpec::default(),
            now_ms: 1_700_000_000_000,
            next: 0,
        }
    }

    fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Ledger, MetricError> {
        let config = self.config.clone();
        let context = RunContext {
            spec: self.spec.clone(),
            ..RunContext::default()
        };
        Ledger::open(
            real_disk(),
            self.folder.path(),
            config,
            context,
            self.now_ms,
        )
    }

    /// One delivery of halves such as `t a 1.5` or `p a 2`; gives its number.
    fn give(&mut self, ledger: &mut Ledger, halves: &[&str]) -> u64 {
        let delivery = self.next;
        self.next += 1;
        ledger.begin(delivery);
        for half in halves {
            let words: Vec<&str> = half.split(' ').collect();
            let kind = if words[0] == "t" {
                Kind::Truth
            } else {
                Kind::Prediction
            };
            let id = RecordId::from_text(words[1]).unwrap();
            ledger.accept(delivery, kind, id, words[2].parse().unwrap(), self.now_ms);
        }
        delivery
    }

    fn commit(&self, ledger: &mut Ledger) -> Vec<u64> {
        ledger.commit(self.now_ms, Flush::Due).unwrap().settled
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn rows(&self) -> Vec<String> {
        self.read("metric_log.csv")
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect()
    }
}

fn assert_balanced(ledger: &Ledger) {
    let progress = ledger.progress();
    assert!(
        progress.counters.is_balanced(progress.pending),
        "{progress:?}"
    );
}

#[test]
fn a_pair_is_recorded_and_both_deliveries_settle() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    let truth = bench.give(&mut ledger, &["t a 3"]);
    assert!(
        bench.commit(&mut ledger).is_empty(),
        "the truth is only in memory"
    );
    let prediction = bench.give(&mut ledger, &["p a 1.5"]);
    assert_eq!(bench.commit(&mut ledger), [truth, prediction]);
    assert_eq!(bench.rows(), ["a,3.0,1.5,1.5"]);
    assert_balanced(&ledger);
}

#[test]
fn a_lone_half_settles_once_it_is_stored_and_survives_a_restart() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    let truth = bench.give(&mut ledger, &["t a 3"]);
    bench.now_ms += bench.config.hold_ms + 1;
    assert_eq!(bench.commit(&mut ledger), [truth]);
    drop(ledger);
    let mut ledger = bench.open();
    assert_eq!(ledger.progress().pending, 1);
    bench.give(&mut ledger, &["p a 1"]);
    bench.commit(&mut ledger);
    assert_eq!(bench.rows(), ["a,3.0,1.0,2.0"]);
    assert_balanced(&ledger);
}

#[test]
fn a_redelivery_after_a_restart_makes_no_second_row() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 3", "p a 1"]);
    bench.commit(&mut ledger);
    // Dropped without a checkpoint, as by kill -9: the log alone knows.
    drop(ledger);
    let mut ledger = bench.open();
    let again = bench.give(&mut ledger, &["t a 3", "p a 1"]);
    assert_eq!(bench.commit(&mut ledger), [again]);
    assert_eq!(bench.rows().len(), 1);
    let counters = ledger.progress().counters;
    assert_eq!((counters.matched, counters.duplicate), (1, 2));
    assert_balanced(&ledger);
}

#[test]
fn a_half_that_comes_again_is_not_settled_before_the_first_is_stored() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    let first = bench.give(&mut ledger, &["t a 3"]);
    bench.commit(&mut ledger);
    let again = bench.give(&mut ledger, &["t a 3"]);
    assert_eq!(bench.commit(&mut ledger), [first, again]);
    drop(ledger);
    assert_eq!(bench.open().progress().pending, 1);
}

#[test]
fn expired_and_late_halves_are_written_once_with_their_reason() {
    let mut bench = Bench::new();
    bench.config.age_max_ms = 1_000;
    let received_ms = bench.now_ms;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["p a 1"]);
    bench.now_ms += 500;
    bench.commit(&mut ledger);
    bench.give(&mut ledger, &["t b,c 2"]);
    bench.now_ms += 600;
    bench.commit(&mut ledger);
    bench.give(&mut ledger, &["t a 5"]);
    bench.commit(&mut ledger);
    drop(ledger);
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 5"]);
    bench.now_ms += 400;
    bench.commit(&mut ledger);
    let expected = format!(
        "id,kind,value,received_ms,reason\n\
         a,prediction,1.0,{received_ms},expired\n\
         a,truth,5.0,{},late\n\
         \"b,c\",truth,2.0,{},expired\n",
        received_ms + 1_100,
        received_ms + 500,
    );
    assert_eq!(bench.read("unmatched.csv"), expected);
    let counters = ledger.progress().counters;
    assert_eq!(
        (counters.expired(), counters.late, counters.duplicate),
        (2, 1, 1)
    );
    assert_eq!(counters.coverage(), Some(0.0));
    assert_balanced(&ledger);
}

#[test]
fn a_correction_is_a_further_row_elsewhere_and_survives_a_restart() {
    let mut bench = Bench::new();
    bench.config.label_policy = LabelPolicy::Last;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 3", "p a 1"]);
    bench.give(&mut ledger, &["t a 4"]);
    bench.commit(&mut ledger);
    drop(ledger);
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 4", "t a 3", "t a 5"]);
    bench.commit(&mut ledger);
    assert_eq!(bench.rows(), ["a,3.0,1.0,2.0"]);
    assert_eq!(
        bench.read("corrections.csv"),
        "id,y_true,y_pred,absolute_error\na,4.0,1.0,3.0\na,5.0,1.0,4.0\n"
    );
    assert_balanced(&ledger);
}

#[test]
fn a_stored_half_takes_its_corrected_label_across_a_restart() {
    let mut bench = Bench::new();
    bench.config.label_policy = LabelPolicy::Last;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 3"]);
    bench.now_ms += 1_000;
    bench.commit(&mut ledger);
    bench.give(&mut ledger, &["t a 4"]);
    bench.commit(&mut ledger);
    drop(ledger);
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["p a 1"]);
    bench.commit(&mut ledger);
    assert_eq!(bench.rows(), ["a,4.0,1.0,3.0"]);
}

#[test]
fn a_log_of_the_original_is_continued() {
    let mut bench = Bench::new();
    bench.write(
        "metric_log.csv",
        "id,y_true,y_pred,absolute_error\n1731241829.788735,217.0,155.5,61.5\n1731241830.1,1.0,2",
    );
    let mut ledger = bench.open();
    assert_eq!(ledger.progress().rows, 1);
    bench.give(&mut ledger, &["t 1731241829.788735 217", "t x 1", "p x 1"]);
    bench.commit(&mut ledger);
    assert_eq!(
        bench.rows(),
        ["1731241829.788735,217.0,155.5,61.5", "x,1.0,1.0,0.0"]
    );
    let progress = ledger.progress();
    assert_eq!((progress.rows, progress.counters.duplicate), (2, 1));
    drop(ledger);
    assert_eq!(bench.open().progress().rows, 2);
}

#[test]
fn a_foreign_header_stops_the_ledger_with_its_remedy() {
    let bench = Bench::new();
    bench.write(
        "metric_log.csv",
        "message_id,y_true,y_pred,absolute_error\n",
    );
    let error = bench.try_open().unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains("metric_log.csv"), "{error}");
}

#[test]
fn the_log_rotates_by_size_and_each_part_has_its_header() {
    let mut bench = Bench::new();
    bench.config.rotate_bytes = 60;
    let mut ledger = bench.open();
    for n in 0..6 {
        bench.give(
            &mut ledger,
            &[&format!("t id-{n} 1"), &format!("p id-{n} 2")],
        );
        bench.commit(&mut ledger);
        if n == 3 {
            ledger = bench.open_after(ledger);
        }
    }
    let row = |n: u32| format!("id-{n},1.0,2.0,1.0");
    let header = "id,y_true,y_pred,absolute_error";
    for (name, ids) in [
        ("metric_log.000001.csv", [0, 1]),
        ("metric_log.000002.csv", [2, 3]),
        ("metric_log.000003.csv", [4, 5]),
    ] {
        let expected = format!("{header}\n{}\n{}\n", row(ids[0]), row(ids[1]));
        assert_eq!(bench.read(name), expected);
    }
    assert_eq!(bench.read("metric_log.csv"), format!("{header}\n"));
    bench.give(&mut ledger, &["t id-0 1"]);
    assert_eq!(ledger.progress().counters.duplicate, 1);
}

impl Bench {
    fn open_after(&self, ledger: Ledger) -> Ledger {
        drop(ledger);
        self.open()
    }
}

#[test]
fn the_log_rotates_at_midnight_without_any_delivery() {
    let mut bench = Bench::new();
    bench.config.rotate_daily = true;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 1", "p a 2"]);
    bench.commit(&mut ledger);
    bench.now_ms += 2_000;
    bench.commit(&mut ledger);
    let midnight = ledger.deadline_ms().unwrap();
    assert_eq!(midnight % DAY_MS, 0);
    bench.now_ms = midnight;
    bench.commit(&mut ledger);
    assert!(
        bench
            .read("metric_log.000001.csv")
            .contains("a,1.0,2.0,1.0")
    );
    assert!(bench.rows().is_empty());
}

#[test]
fn partitions_split_the_ids_and_keep_their_own_files() {
    let mut bench = Bench::new();
    bench.config.partitions = 2;
    let halves: Vec<String> = (0..50)
        .flat_map(|n| [format!("t id-{n} 1"), format!("p id-{n} 2")])
        .collect();
    let halves: Vec<&str> = halves.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    for partition in 0..2 {
        bench.config.partition = partition;
        let mut ledger = bench.open();
        let delivery = bench.give(&mut ledger, &halves);
        assert_eq!(bench.commit(&mut ledger), [delivery]);
        let log = bench.read(&format!("metric_log-{partition}of2.csv"));
        rows.extend(log.lines().skip(1).map(str::to_owned));
    }
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 50);
}

#[test]
fn a_change_of_partitions_is_refused_while_halves_wait_and_remembers_after() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 1"]);
    bench.now_ms += 1_000;
    bench.commit(&mut ledger);
    drop(ledger);
    let one = bench.config.clone();
    bench.config.partitions = 2;
    let error = bench.try_open().unwrap_err().to_string();
    assert!(
        error.contains("1 halves still wait under `partitions` = 1"),
        "{error}"
    );
    assert!(error.contains("run with 1 until none waits"), "{error}");

    bench.config = one;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["p a 2"]);
    bench.now_ms += 2_000;
    bench.commit(&mut ledger);
    drop(ledger);
    let id = RecordId::from_text("a").unwrap();
    bench.config.partitions = 2;
    bench.config.partition = partition::partition_of(&id, 2);
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 1", "p a 2"]);
    assert_eq!(ledger.progress().counters.duplicate, 2);
}

#[test]
fn a_log_that_somebody_removed_is_begun_anew_and_counted_as_it_is() {
    let mut bench = Bench::new();
    bench.config.age_max_ms = 10_000;
    let mut ledger = bench.open();
    bench.give(
        &mut ledger,
        &["t a 1", "p a 2", "t b 1", "p b 2", "t lonely 1"],
    );
    bench.now_ms += 20_000;
    ledger.commit(bench.now_ms, Flush::All).unwrap();
    drop(ledger);
    fs::remove_file(bench.folder.path().join("metric_log.csv")).unwrap();
    fs::remove_file(bench.folder.path().join("unmatched.csv")).unwrap();
    let mut ledger = bench.open();
    assert_eq!(ledger.progress().rows, 0);
    bench.give(&mut ledger, &["t c 1", "p c 2"]);
    ledger.commit(bench.now_ms, Flush::All).unwrap();
    assert_eq!((ledger.progress().rows, bench.rows().len()), (1, 1));
    assert_balanced(&ledger);
    drop(ledger);
    let report = super::super::verify(bench.folder.path()).unwrap();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn parts_that_were_moved_away_are_no_longer_counted() {
    let mut bench = Bench::new();
    bench.config.rotate_bytes = 40;
    let mut ledger = bench.open();
    for n in 0..3 {
        bench.give(&mut ledger, &[&format!("t {n} 1"), &format!("p {n} 2")]);
        bench.commit(&mut ledger);
    }
    drop(ledger);
    fs::remove_file(bench.folder.path().join("metric_log.000001.csv")).unwrap();
    let ledger = bench.open();
    assert_eq!(ledger.progress().rows, 2);
    drop(ledger);
    let report = super::super::verify(bench.folder.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(bench.open().progress().rows, 2);
}

fn labelled(labels: &[&str]) -> TaskSpec {
    let names = labels.iter().map(|name| (*name).to_owned()).collect();
    TaskSpec::of_labels(Some(crate::task::Labels::Text(names)))
}

#[test]
fn a_label_s_error_is_zero_or_one_also_when_it_is_corrected() {
    let mut bench = Bench::new();
    bench.spec = labelled(&["low", "mid", "high"]);
    bench.config.label_policy = LabelPolicy::Last;
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 2", "p a 0", "t b 1", "p b 1"]);
    bench.commit(&mut ledger);
    bench.give(&mut ledger, &["t b 0"]);
    bench.commit(&mut ledger);
    assert_eq!(bench.rows(), ["a,2.0,0.0,1.0", "b,1.0,1.0,0.0"]);
    assert!(bench.read("corrections.csv").ends_with("b,0.0,1.0,1.0\n"));
    drop(ledger);
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t c 2", "p c 2"]);
    bench.commit(&mut ledger);
    drop(ledger);
    let report = super::super::verify(bench.folder.path()).unwrap();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_log_is_not_continued_with_another_kind_of_answer() {
    let mut bench = Bench::new();
    let mut ledger = bench.open();
    bench.give(&mut ledger, &["t a 3.5", "p a 1"]);
    bench.commit(&mut ledger);
    drop(ledger);
    let reopen = |bench: &Bench| bench.try_open().unwrap_err().to_string();
    bench.spec = labelled(&["low", "high"]);
    let error = reopen(&bench);
    assert!(
        error.contains("`a,3.5,1.0,2.5`, which is of a regression"),
        "{error}"
    );
    assert_eq!(bench.rows(), ["a,3.5,1.0,2.5"], "nothing is cut for it");

    let mut bench = Bench::new();
    bench.spec = labelled(&["low", "high"]);
    drop(bench.open());
    bench.spec = labelled(&["high", "low"]);
    let error = reopen(&bench);
    assert!(
        error.contains("`low`, `high`") && error.contains("`high`, `low`"),
        "{error}"
    );
    bench.spec = TaskSpec::default();
    let error = reopen(&bench);
    assert!(
        error.contains("this process expects a regression"),
        "{error}"
    );
    bench.spec = TaskSpec::of_labels(None);
    assert_eq!(bench.open().spec, labelled(&["low", "high"]));
}
