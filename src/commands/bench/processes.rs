//! The stages as processes of their own, as in a deployment: started, watched and stopped.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStderr, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{outcome::Times, resource_usage::ResourceUsage};
use crate::{config::Config, metric_log::Reader, pipeline, services::metric};

/// Time between two looks at the processes and the log.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// When no new row came for this long, the rest will not come.
const STALL: Duration = Duration::from_secs(60);

/// How long a process may take to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Runs the three stages until every row is in the log.
pub(super) fn run(config: &Config) -> Result<(Times, Vec<(&'static str, ResourceUsage)>)> {
    let environment = environment(config)?;
    let mut metric = StageProcess::start("metric", &environment)?;
    let mut predictor = StageProcess::start("predictor", &environment)?;
    let mut features = StageProcess::start("features", &environment)?;
    // Reading the log costs processor time that the stages need, so it begins when features has ended.
    while !features.has_ended()? {
        metric.check_running()?;
        predictor.check_running()?;
        thread::sleep(POLL_INTERVAL);
    }
    await_rows(config, &mut metric, &mut predictor)?;
    predictor.stop()?;
    let times = metric
        .stop()?
        .context("the metric process reported no times")?;
    let stages = [features, predictor, metric];
    Ok((
        times,
        stages
            .iter()
            .map(|stage| (stage.name, stage.usage))
            .collect(),
    ))
}

fn await_rows(
    config: &Config,
    metric: &mut StageProcess,
    predictor: &mut StageProcess,
) -> Result<()> {
    let mut log = Reader::open(&pipeline::log_file(&config.logs));
    let (mut rows, mut moved) = (0, Instant::now());
    loop {
        let new = log.read_new(&mut |_| {})?.rows;
        rows += new;
        if rows >= config.features.count {
            return Ok(());
        }
        if new > 0 {
            moved = Instant::now();
        }
        if moved.elapsed() > STALL {
            bail!(
                "{rows} of {} rows are in the log, and no new one came for {STALL:?}",
                config.features.count
            );
        }
        metric.check_running()?;
        predictor.check_running()?;
        thread::sleep(POLL_INTERVAL);
    }
}

/// One process. It is killed when it is dropped.
struct StageProcess {
    name: &'static str,
    child: Child,
    usage: ResourceUsage,
    /// The thread that reads its log lines returns the times that it reports at its end.
    times: Option<JoinHandle<Option<Times>>>,
}

impl StageProcess {
    fn start(name: &'static str, environment: &[(String, String)]) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        let level = format!("warn,{}=debug", metric::TIMES);
        let mut child = Command::new(program)
            .args([name, "--log-format", "json", "--log-level", &level])
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let stderr = child.stderr.take();
        Ok(Self {
            name,
            child,
            usage: ResourceUsage::default(),
            times: stderr.map(|stderr| thread::spawn(move || forward_lines(stderr))),
        })
    }

    /// Fails when it has ended; also reads what it has cost so far.
    fn check_running(&mut self) -> Result<()> {
        if self.has_ended()? {
            bail!("{} ended unexpectedly", self.name);
        }
        Ok(())
    }

    /// Whether it has ended; fails if it ended with a failure.
    fn has_ended(&mut self) -> Result<bool> {
        self.usage = ResourceUsage::of(self.child.id()).or(self.usage);
        match self
            .child
            .try_wait()
            .context("cannot wait for a child process")?
        {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("{} failed with {status}", self.name),
        }
    }

    /// Tells it to stop, waits for its end, and returns the times that it reported.
    fn stop(&mut self) -> Result<Option<Times>> {
        self.check_running()?;
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
        sent.context("`kill` is needed to stop a stage")?;
        let deadline = Instant::now() + STOP_MAX;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                bail!("{} did not stop within {STOP_MAX:?}", self.name);
            }
            thread::sleep(POLL_INTERVAL);
        }
        let times = self.times.take().map(JoinHandle::join);
        Ok(times.and_then(Result::ok).flatten())
    }
}

impl Drop for StageProcess {
    fn drop(&mut self) {
        // An error only means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Passes a process's log lines on to our standard error, except the one with its times.
fn forward_lines(lines: ChildStderr) -> Option<Times> {
    let mut times = None;
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["target"] == metric::TIMES {
            times = read_times(&event);
        } else {
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
    times
}

fn read_times(event: &Value) -> Option<Times> {
    let number = |name: &str| event[name].as_u64();
    let span_us = [number("began_us")?, number("ended_us")?];
    let latency_us = [number("p50")?, number("p99")?, number("p999")?];
    Times::new(Some(span_us), Some(latency_us)).ok()
}

/// Every setting as an environment variable: unlike arguments, these keep a password out of the process list.
fn environment(config: &Config) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    flatten(&serde_json::to_value(config)?, "RESIDUAL_", &mut variables);
    Ok(variables)
}

fn flatten(value: &Value, name: &str, variables: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(section) => {
            for (key, value) in section {
                let name = format!("{name}_{}", key.to_uppercase());
                // Two underscores separate sections: one ends the section's name, the other begins the key's.
                let name = if value.is_object() { name + "_" } else { name };
                flatten(value, &name, variables);
            }
        }
        leaf => variables.push((name.to_owned(), leaf.to_string())),
    }
}
