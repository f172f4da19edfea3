//! The power goes at every operation of the disk in turn; afterwards every id must be where it belongs, once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use residual::{
    message::RecordId,
    metric_log::{Disk, Series},
    services::metric::{
        Config, Kind, RunContext,
        ledger::{Committed, Flush, Ledger},
    },
};

use super::disk::{Crash, SimDisk};

const START_MS: u64 = 1_700_000_000_000;
const LOGS: &str = "logs";

struct Delivery {
    halves: Vec<(Kind, u32, f64)>,
    is_settled: bool,
}

/// A bus that redelivers what is not settled, and a ledger that dies.
struct Drill {
    disk: SimDisk,
    config: Config,
    rng: ChaCha8Rng,
    deliveries: Vec<Delivery>,
    now_ms: u64,
    next: u64,
    crash: Crash,
    /// Crashes that are still to come after the first, each within so many operations.
    further_crashes: Vec<u64>,
    last_error: String,
}

/// Truths of ids below this have a prediction; those above never get one.
const PAIRS: u32 = 12;
const LONELY: u32 = 4;

fn y_true(id: u32) -> f64 {
    f64::from(id) * 1.5
}

fn y_pred(id: u32) -> f64 {
    f64::from(id) + 0.1
}

impl Drill {
    fn new(seed: u64, crash: Crash) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut halves: Vec<(Kind, u32, f64)> = (0..PAIRS + LONELY)
            .map(|id| (Kind::Truth, id, y_true(id)))
            .chain((0..PAIRS).map(|id| (Kind::Prediction, id, y_pred(id))))
            .collect();
        halves.shuffle(&mut rng);
        let mut deliveries = Vec::new();
        while !halves.is_empty() {
            let size = rng.random_range(1..=3.min(halves.len()));
            let halves = halves.drain(..size).collect();
            deliveries.push(Delivery {
                halves,
                is_settled: false,
            });
        }
        Self {
            disk: SimDisk::default(),
            config: Config {
                age_max_ms: 3_600_000,
                hold_ms: 20,
                hold_max: 3,
                checkpoint_ms: 50,
                rotate_bytes: 120,
                ..Config::default()
            },
            rng,
            deliveries,
            now_ms: START_MS,
            next: 0,
            crash,
            further_crashes: Vec::new(),
            last_error: String::new(),
        }
    }

    fn open(&mut self) -> Option<Ledger> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let config = self.config.clone();
        Ledger::open(
            disk,
            Path::new(LOGS),
            config,
            RunContext::default(),
            self.now_ms,
        )
        .map_err(|error| self.last_error = format!("{error:?}"))
        .ok()
    }

    /// Until everything is settled and the unmatched halves have expired.
    fn run(&mut self) {
        let mut lives = 0;
        while !self.live() {
            lives += 1;
            assert!(
                lives < 10,
                "it does not come up any more: {}",
                self.last_error
            );
            let seed = self.rng.random();
            self.disk.reboot(self.crash, seed);
            self.dump("after the reboot");
            let next_crash = self.further_crashes.pop();
            self.disk
                .crash_at(next_crash.map(|after| self.disk.operations() + after));
        }
    }

    /// One life of the ledger; true when it reached the end.
    fn live(&mut self) -> bool {
        let Some(mut ledger) = self.open() else {
            return false;
        };
        self.dump(&format!("opened {:?}", ledger.progress()));
        let mut given = vec![None; self.deliveries.len()];
        while self.deliveries.iter().any(|delivery| !delivery.is_settled) {
            self.give_some(&mut ledger, &mut given);
            self.now_ms += self.rng.random_range(1..15);
            let Ok(committed) = ledger.commit(self.now_ms, Flush::Due) else {
                return false;
            };
            assert_balanced(&ledger);
            // A crash between the commit and the acknowledgement.
            if !self.disk.tick() {
                return false;
            }
            self.settle(&given, &committed);
        }
        self.now_ms += self.config.age_max_ms;
        if ledger.commit(self.now_ms, Flush::All).is_err() {
            return false;
        }
        assert_balanced(&ledger);
        assert_eq!(ledger.progress().pending, 0);
        drop(ledger);
        self.disk.tick()
    }

    fn give_some(&mut self, ledger: &mut Ledger, given: &mut [Option<u64>]) {
        let mut open: Vec<usize> = (0..given.len())
            .filter(|at| given[*at].is_none() && !self.deliveries[*at].is_settled)
            .collect();
        open.truncate(self.rng.random_range(0..=3));
        for at in open {
            ledger.begin(self.next);
            for (kind, id, value) in &self.deliveries[at].halves {
                let id = RecordId::from_text(&format!("id-{id}")).unwrap();
                ledger.accept(self.next, *kind, id, *value, self.now_ms);
            }
            given[at] = Some(self.next);
            self.next += 1;
        }
    }

    fn settle(&mut self, given: &[Option<u64>], committed: &Committed) {
        for (delivery, given) in self.deliveries.iter_mut().zip(given) {
            delivery.is_settled |= given.is_some_and(|number| committed.settled.contains(&number));
        }
    }

    fn dump(&self, what: &str) {
        if std::env::var_os("DRILL_DUMP").is_some() {
            println!("== {what}");
            for path in self.disk.list(Path::new(LOGS)).unwrap_or_default() {
                println!("-- {}\n{}", path.display(), self.disk.read(&path));
            }
        }
    }

    fn log_lines(&self) -> Vec<String> {
        let series = Series::new(Path::new(LOGS), "metric_log");
        let mut paths: Vec<PathBuf> = series
            .parts(&self.disk)
            .unwrap()
            .into_iter()
            .map(|number| series.part(number))
            .collect();
        paths.push(series.live());
        paths
            .iter()
            .flat_map(|path| body(&self.disk.read(path)))
            .collect()
    }

    fn assert_exactly_once(&self, case: &str) {
        let mut rows: Vec<String> = self.log_lines();
        rows.sort();
        let mut expected: Vec<String> = (0..PAIRS)
            .map(|id| {
                let (y_true, y_pred) = (y_true(id), y_pred(id));
                format!(
                    "id-{id},{y_true:?},{y_pred:?},{:?}",
                    (y_true - y_pred).abs()
                )
            })
            .collect();
        expected.sort();
        assert_eq!(rows, expected, "{case}: rows of the log");
        let mut lonely: BTreeMap<String, u32> = BTreeMap::new();
        for line in body(&self.disk.read(&Path::new(LOGS).join("unmatched.csv"))) {
            let id = line.split(',').next().unwrap().to_owned();
            assert!(line.ends_with(",expired"), "{case}: {line}");
            *lonely.entry(id).or_default() += 1;
        }
        let expected = (PAIRS..PAIRS + LONELY).map(|id| (format!("id-{id}"), 1));
        assert_eq!(lonely, expected.collect(), "{case}: lines of unmatched.csv");
    }
}

/// Lines after the header, which must stand there once.
fn body(text: &str) -> Vec<String> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a torn end: {text:?}"
    );
    let mut lines = text.lines().map(str::to_owned);
    if let Some(header) = lines.next() {
        assert!(header.starts_with("id,"), "no header: {text:?}");
    }
    let lines: Vec<String> = lines.collect();
    assert!(
        lines.iter().all(|line| !line.starts_with("id,")),
        "two headers: {text:?}"
    );
    lines
}

fn assert_balanced(ledger: &Ledger) {
    let progress = ledger.progress();
    assert!(
        progress.counters.is_balanced(progress.pending),
        "{progress:?}"
    );
}

fn every_operation(seed: u64, crash: Crash, further: impl Fn(u64) -> Vec<u64>) {
    let mut calm = Drill::new(seed, crash);
    calm.run();
    calm.assert_exactly_once("without a crash");
    let operations = calm.disk.operations();
    assert!(
        operations > 100,
        "only {operations} operations: the drill does nothing"
    );
    let only: Option<u64> = std::env::var("DRILL_AT")
        .ok()
        .and_then(|at| at.parse().ok());
    for at in (0..operations).filter(|at| only.is_none_or(|only| only == *at)) {
        let mut drill = Drill::new(seed, crash);
        drill.further_crashes = further(at);
        drill.disk.crash_at(Some(at));
        drill.run();
        drill.assert_exactly_once(&format!("{crash:?} at operation {at} of seed {seed}"));
    }
}

#[test]
fn killed_at_every_operation_each_id_is_recorded_once() {
    for seed in 0..3 {
        every_operation(seed, Crash::Kill, |_| Vec::new());
    }
}

#[test]
fn without_power_at_every_operation_each_id_is_recorded_once() {
    for seed in 0..3 {
        every_operation(seed, Crash::Power, |_| Vec::new());
    }
}

#[test]
fn without_power_again_during_recovery_each_id_is_recorded_once() {
    for seed in 10..12 {
        every_operation(seed, Crash::Power, |at| vec![at % 41, at % 17]);
    }
}

/// A sync fails, the process dies before it can undo the write, and the next one finds the row in the page cache, where
/// it looks durable.
#[test]
fn a_row_whose_sync_failed_in_an_earlier_life_is_made_durable_before_it_is_believed() {
    let mut drill = Drill::new(0, Crash::Kill);
    let pair = [
        (Kind::Truth, 1, y_true(1)),
        (Kind::Prediction, 1, y_pred(1)),
    ];
    drill.deliveries = vec![Delivery {
        halves: pair.to_vec(),
        is_settled: false,
    }];
    let give = |ledger: &mut Ledger| {
        ledger.begin(0);
        for (kind, id, value) in pair {
            let id = RecordId::from_text(&format!("id-{id}")).unwrap();
            ledger.accept(0, kind, id, value, START_MS);
        }
        ledger.commit(START_MS, Flush::Due)
    };
    let mut ledger = drill.open().unwrap();
    drill.disk.fail_syncs(1);
    // The write, the sync, and then the power before the write is undone.
    drill.disk.crash_at(Some(drill.disk.operations() + 2));
    give(&mut ledger).unwrap_err();
    drop(ledger);
    drill.disk.reboot(Crash::Kill, 0);
    assert_eq!(drill.log_lines().len(), 1, "the row is in the page cache");
    let mut ledger = drill.open().unwrap();
    assert_eq!(give(&mut ledger).unwrap().settled, [0]);
    assert_eq!(ledger.progress().counters.duplicate, 2);
    drill.disk.pull_plug();
    drop(ledger);
    for seed in 0..8 {
        drill.disk.reboot(Crash::Power, seed);
        assert_eq!(drill.log_lines().len(), 1, "an acknowledged row was lost");
    }
}
