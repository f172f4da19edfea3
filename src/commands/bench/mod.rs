//! `residual bench`: how many rows a second go from features to the durable log, how long one is on its way, what it
//! costs, and proof that the right rows arrived.
//!
//! Promise: the stages are the real ones, in this process or in processes of their own; nothing is switched off to look
//! faster. A run whose log is not exactly what an offline computation gives fails. Deliberately absent: the picture and
//! the page, whose cost does not depend on the rate, and the broker's own processor time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use super::{output::print, runtime::runtime};
use crate::{
    bus::{self, BrokerInfo},
    cli::BenchArgs,
    clock::Clock,
    config::Config,
    dataset::Order,
    pipeline::{self, NotStarted, Role},
    telemetry,
};

mod outcome;
mod processes;
mod proof;
mod usage;

use outcome::{Broker, Outcome, Times};
use usage::Usage;

/// The stages that are measured.
const ROLES: [Role; 3] = [Role::Features, Role::Predictor, Role::Metric];

/// The proof holds one id of each row in memory.
const ROWS_MAX: u64 = 100_000_000;

/// Names on a broker begin with this, so that a bench never meets the rows of a real pipeline.
const PREFIX: &str = "bench-";

pub(super) fn run(args: &BenchArgs, mut config: Config) -> Result<()> {
    let folder = Folder::make(&config.logs)?;
    configure(&mut config, args, &folder.0).context(NotStarted)?;
    let telemetry = telemetry::init(&config.telemetry).context(NotStarted)?;
    let runtime = runtime()?;
    let broker = runtime.block_on(survey(&config))?;
    let (times, stages) = if args.processes {
        processes::run(&config)?
    } else {
        let stop = CancellationToken::new();
        let report = runtime.block_on(pipeline::run(&config, &ROLES, &telemetry, stop))?;
        let report = report.context("the run did not begin")?;
        let times = Times::new(report.span_us, report.latency_us)?;
        (times, vec![("all stages", Usage::of_this_process())])
    };
    let expected = runtime.block_on(proof::offline(&config))?;
    let found = proof::of_log(&pipeline::log_file(&config.logs))?;
    let outcome = Outcome {
        bus: bus::redact(&config.bus.url),
        broker,
        rows_per_second: times.per_second(found.sum.rows),
        times,
        stages,
        expected,
        found,
    };
    if args.json {
        print(&serde_json::to_string(&outcome)?)?;
    } else {
        print(&outcome)?;
    }
    outcome.verdict()
}

/// The settings of the run: the user's, but for what would make the proof impossible.
fn configure(config: &mut Config, args: &BenchArgs, folder: &Path) -> Result<()> {
    if args.rows == 0 || args.rows > ROWS_MAX {
        bail!("`--rows` is {}, expected 1 to {ROWS_MAX}", args.rows);
    }
    let is_memory = config.bus.url == "embedded:";
    if args.memory && !is_memory {
        bail!("`--memory` is for the embedded bus, and `--bus` names another");
    }
    if is_memory && !args.memory {
        config.bus.url = format!("embedded:{}", folder.join("bus").display());
    }
    if args.processes && config.bus.url.starts_with("embedded:") {
        bail!("`--processes` needs a broker: an embedded bus lives in one process");
    }
    folder.clone_into(&mut config.logs);
    config.bus.prefix.insert_str(0, PREFIX);
    // What is drawn can be computed again: in order, or by a seed.
    match config.dataset.seed {
        Some(_) => {}
        None => config.dataset.order = Order::Sequential,
    }
    "off".clone_into(&mut config.dashboard.listen);
    config.metric.rotate_bytes = 0;
    config.metric.rotate_daily = false;
    (config.metric.partition, config.metric.partitions) = (0, 1);
    Ok(())
}

/// What answers behind the URL; refuses a broker that still holds rows of an earlier bench.
async fn survey(config: &Config) -> Result<Broker> {
    let bus = bus::connect(&config.bus, Clock::system()).await?;
    let topology = pipeline::topology(config);
    bus.declare(&topology).await?;
    let BrokerInfo { name, version } = bus.describe().await?;
    let is_durable = bus.capabilities().durable;
    for (topic, group) in topology.working_groups() {
        let depth = bus.depth(topic, group).await?;
        let left = depth.ready + depth.in_flight;
        if left > 0 {
            bail!(
                "`{}{topic}.{group}` still holds {left} messages, left by a bench that was broken off; empty it on the \
                 broker, or choose other names by `RESIDUAL__BUS__PREFIX`",
                config.bus.prefix,
            );
        }
    }
    bus.close().await?;
    Ok(Broker {
        name,
        version,
        is_durable,
    })
}

/// A folder inside the logs folder, which is on the disk that a user would use, unlike the system's temporary one.
struct Folder(PathBuf);

impl Folder {
    fn make(logs: &Path) -> Result<Self> {
        let folder = logs.join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "could not be removed");
        }
    }
}
