//! `residual bench`: how many rows a second go from features to the durable log, how long a row takes, what that costs,
//! and a proof that the right rows arrived.
//!
//! Promise: the stages are the real ones, in this process or in processes of their own; nothing is switched off to be
//! faster. A run fails if its log is not exactly what an offline computation gives. Deliberately absent: the picture and
//! the page, whose cost does not depend on the rate, and the broker's own CPU time.

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
mod resource_usage;

use outcome::{Broker, Outcome, Times};
use resource_usage::ResourceUsage;

/// The stages that are measured.
const ROLES: [Role; 3] = [Role::Features, Role::Predictor, Role::Metric];

/// The proof holds the id of every row in memory.
const ROWS_MAX: u64 = 100_000_000;

/// Names on a broker begin with this, so that a bench never touches the rows of a real pipeline.
const PREFIX: &str = "bench-";

pub(super) fn run(args: &BenchArgs, mut config: Config) -> Result<()> {
    let folder = ScratchFolder::make(&config.logs)?;
    configure(&mut config, args, &folder.0).context(NotStarted)?;
    let telemetry = telemetry::init(&config.telemetry).context(NotStarted)?;
    let runtime = runtime()?;
    let broker = runtime.block_on(inspect_broker(&config))?;
    let (times, stages) = if args.processes {
        processes::run(&config)?
    } else {
        let stop = CancellationToken::new();
        let report = runtime.block_on(pipeline::run(&config, &ROLES, &telemetry, stop))?;
        let report = report.context("the run did not start")?;
        let times = Times::new(report.span_us, report.latency_us)?;
        (
            times,
            vec![("all stages", ResourceUsage::of_this_process())],
        )
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

/// Changes the user's settings where they would make the proof impossible.
fn configure(config: &mut Config, args: &BenchArgs, folder: &Path) -> Result<()> {
    if args.rows == 0 || args.rows > ROWS_MAX {
        bail!("`--rows` is {}, expected 1 to {ROWS_MAX}", args.rows);
    }
    let is_memory = config.bus.url == "embedded:";
    if args.memory && !is_memory {
        bail!("`--memory` is for the embedded bus, but `--bus` names another");
    }
    if is_memory && !args.memory {
        config.bus.url = format!("embedded:{}", folder.join("bus").display());
    }
    if args.processes && config.bus.url.starts_with("embedded:") {
        bail!("`--processes` needs a broker: an embedded bus lives in one process");
    }
    folder.clone_into(&mut config.logs);
    config.bus.prefix.insert_str(0, PREFIX);
    // The rows must be known again offline: by a seed, or because they are in order.
    if config.dataset.seed.is_none() {
        config.dataset.order = Order::Sequential;
    }
    "off".clone_into(&mut config.dashboard.listen);
    config.metric.rotate_bytes = 0;
    config.metric.rotate_daily = false;
    (config.metric.partition, config.metric.partitions) = (0, 1);
    Ok(())
}

/// Which broker answers at the URL; refuses one that still holds rows of an earlier bench.
async fn inspect_broker(config: &Config) -> Result<Broker> {
    let bus = bus::connect(&config.bus, Clock::system(), bus::random_seed()).await?;
    let topology = pipeline::topology(config);
    bus.declare(&topology).await?;
    let BrokerInfo { name, version } = bus.describe().await?;
    let is_durable = bus.capabilities().durable;
    for (topic, group) in topology.working_groups() {
        let depth = bus.depth(topic, group).await?;
        let left = depth.ready + depth.in_flight;
        if left > 0 {
            bail!(
                "`{}{topic}.{group}` still holds {left} messages, left by an interrupted bench; empty it on the \
                 broker, or choose other names with `RESIDUAL__BUS__PREFIX`",
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

/// A folder inside the logs folder, and so on the disk that a real run would use, unlike the system's temporary folder.
/// It is removed when it is dropped.
struct ScratchFolder(PathBuf);

impl ScratchFolder {
    fn make(logs: &Path) -> Result<Self> {
        let folder = logs.join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "could not be removed");
        }
    }
}
