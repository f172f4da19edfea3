//! Real processes of the binary over each bus, while they and the broker are killed and stopped at random.
//!
//! Over a private broker features, two predictors and metric are processes of their own; the embedded bus on disk belongs
//! to one process, so there it is one `residual run`. A seed decides which process is killed with `kill -9` or stopped
//! with `kill -STOP`, when, and for how long; it is printed with its schedule.
//!
//! Oracle, once all is quiet: every id whose sending was confirmed is in the log exactly once, with the row's true answer
//! and the model's prediction. No other id is, except those whose sending was cut off, and each half of those is accounted
//! for. The mean absolute error is the one computed offline. `residual verify` is clean, also while the metric service is
//! killed and not yet started again.
//!
//! `just chaos` runs it longer: `CHAOS_SECONDS=60 CHAOS_SEED=n`. `CHAOS_KEEP=1` keeps the folder with the log
//! of each process, `CHAOS_BINARY=FILE` takes another build of the binary.
#![expect(
    clippy::print_stdout,
    reason = "the schedule and the figures are worth seeing"
)]

mod journal;
mod oracle;
pub(crate) mod processes;
pub(crate) mod schedule;
pub(crate) mod witness;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use residual::config::{Config, Overrides};

use self::{
    journal::Journal,
    oracle::{Logs, Offline},
    processes::{Broker, Processes},
    schedule::{Act, Actor, Pace, Schedule},
    witness::{Seen, Sight, Witness},
};
use crate::{metrics::metrics, port::free_port};

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    text.parse().unwrap_or(default)
}

/// A run of chaos.
pub(crate) struct Run {
    folder: tempfile::TempDir,
    seed: u64,
    schedule: Schedule,
    config: Config,
    processes: Processes,
    seen: Arc<Mutex<Seen>>,
    sight: Sight,
    /// Over a broker it is there all the time.
    witness: Option<Witness>,
    verified: u64,
}

impl Run {
    pub(crate) fn new(
        broker: Option<Box<dyn Broker>>,
        actors: &[Actor],
        pace: Pace,
        sight: Sight,
    ) -> Self {
        let seed = setting("CHAOS_SEED", 4);
        let length_ms = setting("CHAOS_SECONDS", pace.length_ms / 1_000) * 1_000;
        let schedule = Schedule::draw(seed, actors, Pace { length_ms, ..pace });
        println!("CHAOS_SEED={seed}\n{schedule}");
        let mut folder = tempfile::tempdir().unwrap();
        if std::env::var_os("CHAOS_KEEP").is_some() {
            folder.disable_cleanup(true);
            println!("everything is in {}", folder.path().display());
        }
        let broker: Option<Arc<dyn Broker>> = broker.map(Arc::from);
        let url = broker.as_ref().map_or_else(
            || format!("embedded:{}", folder.path().join("bus").display()),
            |broker| broker.url(),
        );
        let config = settings(folder.path(), &url, seed);
        let is_remote = broker.is_some();
        let processes = Processes::new(folder.path(), url, seed, broker);
        let seen = Arc::default();
        let witness = is_remote.then(|| Witness::open(&config, &seen, sight));
        Self {
            folder,
            seed,
            schedule,
            config,
            processes,
            seen,
            sight,
            witness,
            verified: 0,
        }
    }

    fn logs(&self) -> std::path::PathBuf {
        self.folder.path().join("logs")
    }

    /// Goes through the schedule.
    pub(crate) fn play(&mut self, actors: &[Actor]) {
        for actor in actors.iter().filter(|actor| **actor != Actor::Broker) {
            self.between_lives(*actor);
            self.processes.start(*actor);
        }
        let begun = Instant::now();
        for step in std::mem::take(&mut self.schedule.0) {
            std::thread::sleep(Duration::from_millis(step.at_ms).saturating_sub(begun.elapsed()));
            if step.act == Act::Start {
                self.between_lives(step.actor);
            }
            self.processes.act(step);
            self.schedule.0.push(step);
        }
        self.processes.until_booted();
        self.processes.all_are_alive();
    }

    /// What can be looked at only while nobody is there.
    fn between_lives(&mut self, actor: Actor) {
        if actor == Actor::Whole {
            Witness::open(&self.config, &self.seen, self.sight).close();
        }
        let is_metric = matches!(actor, Actor::Metric | Actor::Whole);
        if is_metric && self.processes.lives().is_multiple_of(4) {
            self.verify();
        }
    }

    /// What the command line says of the folder.
    fn verify(&mut self) -> String {
        if !self.logs().exists() {
            return String::new();
        }
        let output = self.processes.residual(&["verify"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.verified += 1;
        said
    }

    /// No more faults: what was sent is worked off, and everybody ends well.
    pub(crate) fn come_to_rest(&mut self, actors: &[Actor]) {
        let source = actors[actors.len() - 1];
        self.processes.stop(source);
        let Some(witness) = &self.witness else { return };
        for group in ["predictor", "metric"] {
            witness.until_empty(|other| other == group, || self.processes.all_are_alive());
        }
        for actor in [Actor::Predictor(0), Actor::Predictor(1), Actor::Metric] {
            self.processes.stop(actor);
        }
    }

    /// A last run of the whole pipeline on the same bus and log: it processes what is left, and prints the error over
    /// all rows.
    fn last_run(&mut self) -> f64 {
        let log = self.processes.log(Actor::Whole);
        let args = [
            "run",
            "--count",
            "442",
            "--interval",
            "0s",
            "--order",
            "sequential",
            "--listen",
            "off",
        ];
        let mut command = self.processes.residual(&args);
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut child = child;
        let stdout = child.stdout.take().unwrap();
        self.processes.ends_well(Actor::Whole, child);
        let said = std::io::read_to_string(stdout).unwrap();
        let mae = said
            .lines()
            .find_map(|line| line.strip_prefix("MAE"))
            .unwrap();
        mae.trim().parse().unwrap()
    }

    /// Lets go of what waits for a half that will never come, and gives the counters.
    fn expire(&mut self) -> BTreeMap<String, u64> {
        let log = self.processes.log(Actor::Metric);
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = self.processes.residual(&["metric", "--listen", &address]);
        command.env("RESIDUAL__METRIC__AGE_MAX_MS", "1");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        let is_done = |counters: &BTreeMap<String, u64>| {
            counters.get("pending") == Some(&0) && counters.get("received") > Some(&0)
        };
        let mut counters = gauges(&address);
        while !is_done(&counters) && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(50));
            counters = gauges(&address);
        }
        let id = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(sent.unwrap().success());
        self.processes.ends_well(Actor::Metric, child);
        assert!(is_done(&counters), "halves stay pending: {counters:?}");
        counters
    }

    /// Everything is quiet: is everything right?
    pub(crate) fn check(mut self, begun: Instant) {
        let printed_mae = self.last_run();
        let counters = self.expire();
        let said = self.verify();
        assert!(said.contains(" 0 pending"), "{said}");
        let witness = self
            .witness
            .take()
            .unwrap_or_else(|| Witness::open(&self.config, &self.seen, self.sight));
        nothing_is_left(&witness);
        witness.close();
        let offline = Offline::compute();
        let mut journal = Journal::default();
        for path in &self.processes.journals {
            journal.read(path, offline.rows.len());
        }
        let logs = Logs::read(&self.logs());
        oracle::print_what_is_missing(&self.seen.lock().unwrap(), &logs, &journal);
        let mae = oracle::the_log_is_what_was_sent(&logs, &journal, &offline);
        assert!(
            (mae - printed_mae).abs() < 1e-6,
            "{printed_mae} was printed, it is {mae}"
        );
        assert!(
            (mae - logs.mae()).abs() < 1e-9,
            "the log's own is {}",
            logs.mae()
        );
        oracle::unmatched_halves_were_unconfirmed(&logs, &journal);
        oracle::the_witness_agrees(&self.seen.lock().unwrap(), &logs, &journal, self.sight);
        nothing_is_unaccounted_for(&counters, &logs);
        self.print(&counters, &logs, &journal, mae, begun);
    }

    fn print(
        &self,
        counters: &BTreeMap<String, u64>,
        logs: &Logs,
        journal: &Journal,
        mae: f64,
        begun: Instant,
    ) {
        println!(
            "CHAOS seed={} kills={} pauses={} lives={} verified={} rows={} in_doubt={} lonely={} duplicates={} mae={mae:.6} seconds={:.0}",
            self.seed,
            self.schedule.count(Act::Kill),
            self.schedule.count(Act::Pause),
            self.processes.lives(),
            self.verified,
            logs.rows.len(),
            journal.0.len() - journal.confirmed().count(),
            logs.truths.len() + logs.predictions.len(),
            counters["duplicate"],
            begun.elapsed().as_secs_f64(),
        );
    }
}

/// The settings of every process, which find them in their working directory. Small bounds stand in the way of many a
/// kill, large ones are what users have.
fn settings(folder: &Path, url: &str, seed: u64) -> Config {
    let metric = if seed.is_multiple_of(2) {
        "hold_ms = 5\nhold_max = 16\ncheckpoint_ms = 20\nrotate_bytes = 2000000"
    } else {
        ""
    };
    // Each kill is a try of what was held, and nothing here is poison.
    let text = format!(
        "[bus]\nattempts_max = 40\nlease_ms = 2000\ntopic_bytes_max = 1000000\nbackoff_max_ms = 500\n\n[metric]\n{metric}\n"
    );
    let path = folder.join("residual.toml");
    fs::write(&path, text).unwrap();
    let mut overrides = Overrides::default();
    overrides.set("bus.url", "--bus", Some(url));
    Config::load(Some(&path), overrides).unwrap()
}

fn nothing_is_left(witness: &Witness) {
    for (topic, group, depth) in witness.depths() {
        assert_eq!(depth.dead, 0, "{group} has dead letters of {topic}");
        if group != "witness" {
            assert_eq!(
                depth.ready + depth.in_flight,
                0,
                "{topic} waits for {group}"
            );
        }
    }
}

/// The identity, by the numbers that a scraper reads, against the files.
fn nothing_is_unaccounted_for(counters: &BTreeMap<String, u64>, logs: &Logs) {
    let lonely = |kind: &str| usize::try_from(counters[kind]).unwrap();
    assert_eq!(
        usize::try_from(counters["matched"]).unwrap(),
        logs.rows.len()
    );
    assert_eq!(lonely("expired_truth"), logs.truths.len());
    assert_eq!(lonely("expired_prediction"), logs.predictions.len());
    for none in [
        "conflicting",
        "late",
        "evicted_truth",
        "evicted_prediction",
        "malformed",
    ] {
        assert_eq!(counters[none], 0, "{none}");
    }
    let settled = 2 * counters["matched"]
        + counters["duplicate"]
        + counters["expired_truth"]
        + counters["expired_prediction"];
    assert_eq!(counters["received"], settled + counters["pending"]);
}

/// `pending`, `received` and every state of the ledger; nothing while nobody answers.
fn gauges(address: &str) -> BTreeMap<String, u64> {
    let text = metrics(address);
    let ledger = text
        .lines()
        .filter_map(|line| line.strip_prefix("residual_ledger_"));
    ledger
        .filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            let name = name.strip_prefix("state{state=\"").unwrap_or(name);
            Some((name.trim_end_matches("\"}").to_owned(), value.parse().ok()?))
        })
        .collect()
}
