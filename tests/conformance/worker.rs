//! Work in a process of its own, so that it can be killed: this test binary, run again.
//!
//! An environment variable says what the worker has to do; it reports what happened on its standard output, one event a
//! line. Where the broker lives in its client's process, the worker is the broker, too. A worker whose parent is
//! gone ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use residual::{
    bus::{Bus, Config, Consumer, Link, Message, Verdict, connect, random_seed},
    clock::Clock,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    ctx::{Ctx, topology, within},
    ledger::{SOON, message, number},
};

const ENVIRONMENT: &str = "RESIDUAL_CONFORMANCE_WORKER";
const ENTRY: &str = "conformance::worker::a_worker_process";

/// What a worker does until it is stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Publishes numbers from `first` on, `batch` at a time; `count` of them, or endlessly when it is 0.
    Publish {
        topic: String,
        first: u64,
        batch: u64,
        count: u64,
        /// Digits of each number, with zeros in front.
        width: usize,
    },
    Consume {
        topic: String,
        group: String,
        window: usize,
        habit: Habit,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Habit {
    Ack,
    /// Never settles anything.
    Hold,
    /// Acks; dies at once on this number.
    AbortOn(u64),
    /// Buries every third, acks the others.
    BuryThirds,
}

impl Role {
    pub(crate) fn publish(topic: &str, count: u64) -> Self {
        Self::Publish {
            topic: topic.to_owned(),
            first: 0,
            batch: 4,
            count,
            width: 0,
        }
    }

    /// Publishes bodies of that many bytes.
    pub(crate) fn wide(mut self, bytes: usize) -> Self {
        if let Self::Publish { width, .. } = &mut self {
            *width = bytes;
        }
        self
    }

    pub(crate) fn consume(topic: &str, group: &str, habit: Habit) -> Self {
        Self::Consume {
            topic: topic.to_owned(),
            group: group.to_owned(),
            window: 16,
            habit,
        }
    }

    /// The same for another life: it publishes other numbers.
    fn of_life(&self, life: u64) -> Self {
        let mut role = self.clone();
        if let Self::Publish { first, .. } = &mut role {
            *first += life * 1_000_000;
        }
        role
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    config: Config,
    roles: Vec<Role>,
}

/// What workers reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) confirmed: BTreeSet<u64>,
    /// By group: numbers with the attempts of each sight.
    pub(crate) seen: BTreeMap<String, BTreeMap<u64, Vec<u32>>>,
    pub(crate) acked: BTreeMap<String, BTreeSet<u64>>,
    pub(crate) buried: BTreeSet<u64>,
    /// How often the link went down and came up.
    pub(crate) downs: usize,
    pub(crate) ups: usize,
    ready: bool,
    closed: bool,
}

impl Log {
    fn read(&mut self, line: &str) {
        // The test harness may write in front of an event.
        let Some((_, event)) = line.split_once('@') else {
            return;
        };
        let words: Vec<&str> = event.split_whitespace().collect();
        let n = |index: usize| words[index].parse::<u64>().expect("a number");
        match words[0] {
            "ready" => self.ready = true,
            "closed" => self.closed = true,
            "down" => self.downs += 1,
            "up" => self.ups += 1,
            "confirmed" => drop(self.confirmed.insert(n(1))),
            "seen" => self.see(words[1], n(2), u32::try_from(n(3)).expect("small")),
            "acked" => drop(
                self.acked
                    .entry(words[1].to_owned())
                    .or_default()
                    .insert(n(2)),
            ),
            "buried" => drop(self.buried.insert(n(2))),
            other => panic!("an unknown event: {other}"),
        }
    }

    pub(crate) fn see(&mut self, group: &str, number: u64, attempt: u32) {
        let seen = self.seen.entry(group.to_owned()).or_default();
        seen.entry(number).or_default().push(attempt);
    }

    pub(crate) fn seen_by(&self, group: &str) -> BTreeSet<u64> {
        self.seen
            .get(group)
            .into_iter()
            .flat_map(|s| s.keys().copied())
            .collect()
    }

    pub(crate) fn acked_by(&self, group: &str) -> BTreeSet<u64> {
        self.acked.get(group).cloned().unwrap_or_default()
    }
}

/// One life of a worker.
struct Life {
    child: Child,
    stdin: ChildStdin,
    /// Reads what it says, to the end.
    listener: Option<JoinHandle<()>>,
}

impl Drop for Life {
    /// Kills it, and returns when all that it had reported is in the log.
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(listener) = self.listener.take() {
            listener.join().ok();
        }
    }
}

/// A worker, over all its lives.
pub(crate) struct Worker {
    config: Config,
    roles: Vec<Role>,
    lives: u64,
    life: Option<Life>,
    log: Arc<Mutex<Log>>,
    /// Shell commands that run before the worker, such as a limit.
    shell: &'static str,
}

impl Worker {
    pub(crate) async fn start(ctx: &Ctx, config: Config, roles: Vec<Role>) -> Self {
        Self::start_in(ctx, config, roles, "").await
    }

    /// Starts it from a shell, after these commands.
    pub(crate) async fn start_in(
        ctx: &Ctx,
        config: Config,
        roles: Vec<Role>,
        shell: &'static str,
    ) -> Self {
        ctx.fixture.release().await;
        let mut worker = Self {
            config,
            roles,
            lives: 0,
            life: None,
            log: Arc::default(),
            shell,
        };
        worker.live().await;
        worker
    }

    /// Begins a new life, publishing other numbers than in the lives before.
    pub(crate) async fn live(&mut self) {
        let roles = self.roles.iter().map(|role| role.of_life(self.lives));
        let spec = Spec {
            config: self.config.clone(),
            roles: roles.collect(),
        };
        self.lives += 1;
        self.log().ready = false;
        let script = format!("{} exec \"$0\" \"$@\"", self.shell);
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().expect("this binary"))
            .args([
                ENTRY,
                "--exact",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ENVIRONMENT, serde_json::to_string(&spec).expect("json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let output = child.stdout.take().expect("its output");
        let log = Arc::clone(&self.log);
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.lock().unwrap().read(&line);
            }
        });
        let stdin = child.stdin.take().expect("its input");
        self.life = Some(Life {
            child,
            stdin,
            listener: Some(listener),
        });
        self.until(|log| log.ready).await;
    }

    pub(crate) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.life.as_ref().expect("it lives").child.id()
    }

    /// Waits until the log is as wished.
    pub(crate) async fn until(&self, wished: impl Fn(&Log) -> bool) {
        within(SOON * 2, async {
            while !wished(&self.log()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until so many more are confirmed than now.
    pub(crate) async fn until_confirmed(&self, more: usize) {
        let goal = self.log().confirmed.len() + more;
        self.until(|log| log.confirmed.len() >= goal).await;
    }

    /// `kill -9`.
    pub(crate) fn kill9(&mut self) {
        drop(self.life.take());
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Whether it died by itself within a while.
    pub(crate) async fn died(&mut self, within: Duration) -> bool {
        let end = tokio::time::Instant::now() + within;
        while tokio::time::Instant::now() < end {
            let life = self.life.as_mut().expect("it was alive");
            if life.child.try_wait().expect("waited").is_some() {
                self.life = None;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Stops it cleanly.
    pub(crate) async fn stop(&mut self) {
        self.log().closed = false;
        let life = self.life.as_mut().expect("it lives");
        life.stdin.write_all(b"stop\n").expect("asked");
        self.until(|log| log.closed).await;
        let ended = self.life.take().expect("it lived").child.wait_timeout();
        assert!(ended, "it ends well");
    }

    /// `kill -9` of the broker: of its server, or of the worker that is the broker and then lives again.
    pub(crate) async fn kill9_broker(&mut self, ctx: &Ctx) {
        if let Some(server) = ctx.fixture.server() {
            server.kill9().await;
            server.start().await;
        } else {
            self.kill9();
            self.live().await;
        }
    }

    /// A clean restart of the broker.
    pub(crate) async fn restart_broker(&mut self, ctx: &Ctx) {
        if ctx.fixture.server().is_some() {
            return ctx.fixture.restart().await;
        }
        self.stop().await;
        self.live().await;
    }
}

/// Waiting for a child, but not for ever.
trait WaitTimeout {
    fn wait_timeout(&mut self) -> bool;
}

impl WaitTimeout for Child {
    fn wait_timeout(&mut self) -> bool {
        for _ in 0..500 {
            if let Ok(Some(status)) = self.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

fn say(event: std::fmt::Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "@{event}").expect("the parent listens");
    output.flush().expect("the parent listens");
}

/// The worker's own side.
async fn work(spec: Spec) {
    let bus = connect(&spec.config, Clock::system(), random_seed())
        .await
        .expect("connected");
    bus.declare(&topology()).await.expect("declared");
    let (stopping, stopped) = watch::channel(false);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        if read.map_or(0, |bytes| bytes) == 0 {
            // Nobody is there to listen any more.
            std::process::abort();
        }
        stopping.send_replace(true);
    });
    say(format_args!("ready"));
    tokio::spawn(watch_link(bus.link()));
    let mut tasks = Vec::new();
    for role in spec.roles {
        let (bus, stopped) = (Arc::clone(&bus), stopped.clone());
        tasks.push(tokio::spawn(async move { play(role, bus, stopped).await }));
    }
    for task in tasks {
        task.await.expect("its role is played");
    }
    let mut stopped = stopped;
    stopped.wait_for(|stopped| *stopped).await.expect("asked");
    bus.close().await.expect("closed");
    say(format_args!("closed"));
}

async fn watch_link(mut link: watch::Receiver<Link>) {
    loop {
        if link.wait_for(|link| *link != Link::Up).await.is_err() {
            return;
        }
        say(format_args!("down"));
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
        say(format_args!("up"));
    }
}

async fn play(role: Role, bus: Arc<dyn Bus>, stopped: watch::Receiver<bool>) {
    match role {
        Role::Publish {
            topic,
            first,
            batch,
            count,
            width,
        } => {
            let end = if count == 0 { u64::MAX } else { first + count };
            publish(&bus, &topic, (first, end, batch), width, stopped).await;
        }
        Role::Consume {
            topic,
            group,
            window,
            habit,
        } => {
            let consumer = bus
                .consumer(&topic, &group, window)
                .await
                .expect("consumer");
            consume(consumer, &group, habit, stopped).await;
        }
    }
}

/// Sends without waiting for the receipts, and says each when it comes.
async fn publish(
    bus: &Arc<dyn Bus>,
    topic: &str,
    (first, end, batch): (u64, u64, u64),
    width: usize,
    stopped: watch::Receiver<bool>,
) {
    let mut publisher = bus.publisher(topic).await.expect("publisher");
    let (receipts, mut queue) = tokio::sync::mpsc::channel(8);
    let confirming = tokio::spawn(async move {
        while let Some((range, receipt)) = queue.recv().await {
            let receipt: residual::bus::Receipt = receipt;
            let range: std::ops::Range<u64> = range;
            receipt.await.expect("a receipt");
            for n in range {
                say(format_args!("confirmed {n}"));
            }
        }
    });
    let mut next = first;
    while next < end && !*stopped.borrow() {
        let range = next..end.min(next + batch);
        next = range.end;
        let messages = range.clone().map(|n| Message {
            body: format!("{n:0>width$}").into(),
            ..message(n)
        });
        let receipt = publisher.publish(messages.collect()).await;
        let receipt = receipt.expect("published");
        receipts.send((range, receipt)).await.expect("confirming");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(receipts);
    confirming.await.expect("joined");
    publisher.close().await.expect("closed");
}

async fn consume(
    mut consumer: Box<dyn Consumer>,
    group: &str,
    habit: Habit,
    mut stopped: watch::Receiver<bool>,
) {
    let mut held = Vec::new();
    loop {
        let batch = tokio::select! {
            asked = stopped.wait_for(|stopped| *stopped) => {
                drop(asked);
                break;
            }
            batch = consumer.recv(8, Duration::from_millis(2)) => batch.expect("received"),
        };
        let mut verdicts = Vec::new();
        let mut events = Vec::new();
        for delivery in batch {
            let n = number(&delivery);
            say(format_args!("seen {group} {n} {}", delivery.attempt));
            let verdict = match habit {
                Habit::AbortOn(bad) if n == bad => std::process::abort(),
                Habit::BuryThirds if n.is_multiple_of(3) => {
                    events.push(format!("buried {group} {n}"));
                    Verdict::Dead("a third".to_owned())
                }
                Habit::Hold => {
                    held.push(delivery);
                    continue;
                }
                _ => {
                    events.push(format!("acked {group} {n}"));
                    Verdict::Ack
                }
            };
            verdicts.push((delivery.token, verdict));
        }
        let settled = consumer.settle(verdicts).await.expect("settled");
        if settled.stale == 0 {
            for event in events {
                say(format_args!("{event}"));
            }
        }
    }
    consumer.stop().await.expect("stopped");
    consumer.close().await.expect("closed");
}

/// The process that a law starts: not a test, it only looks like one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the laws, in a process of its own"]
async fn a_worker_process() {
    if let Ok(spec) = std::env::var(ENVIRONMENT) {
        work(serde_json::from_str(&spec).expect("a spec")).await;
    }
}
