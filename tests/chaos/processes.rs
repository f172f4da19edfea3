//! The processes: started, killed, stopped and continued as the schedule says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::schedule::{Act, Actor, Step};

/// What is sent and confirmed, and what was recovered, and whatever goes wrong.
const LOG_LEVEL: &str =
    "warn,residual::services::features=debug,residual::services::metric::recovery=info";

/// A broker that can be hurt.
pub(crate) trait Broker: Send + Sync {
    /// Where it is reached.
    fn url(&self) -> String;
    /// Starts it again on what it stored; returns when it answers.
    fn start(&self);
    /// `kill -9`.
    fn kill9(&self);
    /// Sends a signal, such as `-STOP`.
    fn signal(&self, signal: &str);
}

/// All processes of a run, and the broker.
pub(crate) struct Processes {
    folder: PathBuf,
    url: String,
    seed: u64,
    broker: Option<Arc<dyn Broker>>,
    /// The broker that is starting; everything else goes on meanwhile.
    booting: Option<JoinHandle<()>>,
    running: BTreeMap<Actor, Child>,
    lives: BTreeMap<Actor, u64>,
    /// What features wrote, one file a life.
    pub(crate) journals: Vec<PathBuf>,
}

impl Processes {
    pub(crate) fn new(
        folder: &Path,
        url: String,
        seed: u64,
        broker: Option<Arc<dyn Broker>>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            url,
            seed,
            broker,
            booting: None,
            running: BTreeMap::new(),
            lives: BTreeMap::new(),
            journals: Vec::new(),
        }
    }

    /// `residual ARGS…` on this bus, in this folder.
    pub(crate) fn residual(&self, args: &[&str]) -> Command {
        let built = || env!("CARGO_BIN_EXE_residual").into();
        let mut command = Command::new(std::env::var_os("CHAOS_BINARY").unwrap_or_else(built));
        command
            .current_dir(&self.folder)
            .args(args)
            .args([
                "--bus",
                &self.url,
                "--log-format",
                "json",
                "--log-level",
                LOG_LEVEL,
            ])
            .stdin(Stdio::null());
        command
    }

    /// Where a life writes its log; that of one that sends is a journal.
    pub(crate) fn log(&mut self, actor: Actor) -> fs::File {
        let life = self.lives.entry(actor).or_default();
        *life += 1;
        let path = self.folder.join(format!("{actor:?}-{life}.log"));
        if matches!(actor, Actor::Features | Actor::Whole) {
            self.journals.push(path.clone());
        }
        fs::File::create(path).unwrap()
    }

    pub(crate) fn start(&mut self, actor: Actor) {
        let log = self.log(actor);
        let args: &[&str] = match actor {
            Actor::Metric => &["metric"],
            Actor::Predictor(_) => &["predictor"],
            Actor::Features => &["features", "--order", "sequential"],
            Actor::Whole => &["run", "--order", "sequential", "--listen", "off"],
            Actor::Broker => unreachable!("it is started by the act"),
        };
        let mut command = self.residual(args);
        self.vary(actor, &mut command);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.running.insert(actor, child);
    }

    /// Each life sends and encodes in its own way.
    fn vary(&self, actor: Actor, command: &mut Command) {
        let life = self.lives[&actor];
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(1_000).wrapping_add(life));
        let mut one_of = |these: [&'static str; 4]| these[rng.random_range(0..4)];
        command
            .env(
                "RESIDUAL__FEATURES__INTERVAL",
                one_of(["0s", "0s", "100us", "1ms"]),
            )
            .env(
                "RESIDUAL__FEATURES__FRAME_RECORDS",
                one_of(["1", "7", "64", "256"]),
            )
            .env(
                "RESIDUAL__FEATURES__ENCODING",
                one_of(["json", "postcard", "postcard", "postcard"]),
            )
            .env(
                "RESIDUAL__PREDICTOR__ENCODING",
                one_of(["json", "postcard", "postcard", "postcard"]),
            );
    }

    pub(crate) fn act(&mut self, step: Step) {
        if step.actor == Actor::Broker {
            return self.act_on_broker(step.act);
        }
        match step.act {
            Act::Start => self.start(step.actor),
            Act::Kill => {
                self.is_alive(step.actor);
                let mut child = self.running.remove(&step.actor).unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Act::Pause => self.signal(step.actor, "-STOP"),
            Act::Resume => self.signal(step.actor, "-CONT"),
        }
    }

    fn act_on_broker(&mut self, act: Act) {
        self.until_booted();
        let broker = Arc::clone(self.broker.as_ref().unwrap());
        match act {
            Act::Kill => broker.kill9(),
            Act::Start => self.booting = Some(std::thread::spawn(move || broker.start())),
            Act::Pause => broker.signal("-STOP"),
            Act::Resume => broker.signal("-CONT"),
        }
    }

    pub(crate) fn until_booted(&mut self) {
        if let Some(booting) = self.booting.take() {
            booting.join().unwrap();
        }
    }

    fn signal(&mut self, actor: Actor, signal: &str) {
        self.is_alive(actor);
        let id = self.running[&actor].id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success(), "{actor:?}");
    }

    /// Nobody ends by itself, whatever happens to the others.
    fn is_alive(&mut self, actor: Actor) {
        let ended = self.running.get_mut(&actor).unwrap().try_wait().unwrap();
        assert!(
            ended.is_none(),
            "{actor:?} ended by itself with {ended:?}: {}",
            self.last_words(actor)
        );
    }

    pub(crate) fn all_are_alive(&mut self) {
        let actors: Vec<_> = self.running.keys().copied().collect();
        for actor in actors {
            self.is_alive(actor);
        }
    }

    /// Asks for its end and waits for it. One that was only just started does not listen yet: it is heard first.
    pub(crate) fn stop(&mut self, actor: Actor) {
        let begun = Instant::now();
        while self.words(actor).is_empty() && !matches!(actor, Actor::Predictor(_)) {
            self.is_alive(actor);
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{actor:?} says nothing"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.signal(actor, "-TERM");
        let child = self.running.remove(&actor).unwrap();
        self.ends_well(actor, child);
    }

    pub(crate) fn ends_well(&self, actor: Actor, mut child: Child) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > Duration::from_secs(90) {
                drop(child.kill());
                panic!("{actor:?} does not end: {}", self.last_words(actor));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(
            status.success(),
            "{actor:?} ended with {status}: {}",
            self.last_words(actor)
        );
    }

    /// What its present life has logged.
    fn words(&self, actor: Actor) -> String {
        let life = self.lives[&actor];
        let path = self.folder.join(format!("{actor:?}-{life}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    fn last_words(&self, actor: Actor) -> String {
        let text = self.words(actor);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("\"DEBUG\""))
            .collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub(crate) fn lives(&self) -> u64 {
        self.lives.values().sum()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            drop(child.kill());
            drop(child.wait());
        }
        if let Some(booting) = self.booting.take() {
            drop(booting.join());
        }
    }
}
