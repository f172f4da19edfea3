//! The composition root: builds bus, model and log, starts the chosen services, supervises and drains them.
//!
//! Services are started against the flow of data (who reads is there before who writes) and stopped along it: the
//! source first, then each service once nothing is left for it, so that Ctrl-C loses nothing even on a bus in
//! memory. This is the only module that knows every service.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, Topic, Topology},
    clock::Clock,
    config::Config,
    message::{Body, Features, Prediction, Truth},
    services::{metric, predictor},
    stats::live::View,
    task::TaskSpec,
    telemetry::Telemetry,
};
use residual_model::Model;

mod drain;
pub mod inputs;
mod page;
mod reload;
mod report;
mod service_tasks;
mod start;
mod task_spec;

use page::Page;
pub use report::Report;
use service_tasks::ServiceTasks;

/// Where the picture goes: where the settings say, else into the logs folder.
#[must_use]
pub fn picture(config: &Config) -> PathBuf {
    let named = config.plot.output.clone();
    named.unwrap_or_else(|| config.logs.join("error_distribution.png"))
}

/// A service of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Streams rows.
    Features,
    /// Scores them.
    Predictor,
    /// Joins and logs.
    Metric,
    /// Draws.
    Plot,
}

impl Role {
    /// All of them, along the flow of data.
    pub const ALL: [Self; 4] = [Self::Features, Self::Predictor, Self::Metric, Self::Plot];

    fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Predictor => "predictor",
            Self::Metric => "metric",
            Self::Plot => "plot",
        }
    }
}

/// Marks an error of configuration or surroundings, found before anything ran: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("cannot start")]
pub struct NotStarted;

/// Everything that exists on the bus under this configuration.
#[must_use]
pub fn topology(config: &Config) -> Topology {
    let metric = metric::groups(config.metric.partitions);
    let metric: Vec<_> = metric.iter().map(String::as_str).collect();
    let topics = [
        Topic::new(Features::TOPIC, &[predictor::GROUP]),
        Topic::new(Truth::TOPIC, &metric),
        Topic::new(Prediction::TOPIC, &metric),
    ];
    let mut topology = Topology::with_dead_letters(topics.into());
    for topic in &mut topology.topics {
        topic.bytes_max = if topic.is_dead_letters() {
            config.bus.topic_bytes_max
        } else {
            config.bus.waiting_bytes_max()
        };
    }
    topology
}

/// What predictions are, as far as settings say it.
///
/// # Errors
/// When the settings contradict each other.
pub fn task_of_settings(config: &Config) -> Result<Option<TaskSpec>> {
    task_spec::settle(config, None)
}

/// How the predictions of this model are judged.
///
/// # Errors
/// When the settings ask for something else.
pub fn with_task(config: &Config, model: &Model) -> Result<TaskSpec> {
    task_spec::of_model(config, model)
}

/// Runs the given services until their work is done or `stop` is cancelled, then drains them. `None`: it was stopped
/// before it could start, for instance while it waited for a broker.
///
/// # Errors
/// [`NotStarted`] when settings or surroundings do not allow a start; otherwise the first failure of a service,
/// after the others were drained.
pub async fn run(
    config: &Config,
    roles: &[Role],
    telemetry: &Telemetry,
    stop: CancellationToken,
) -> Result<Option<Report>> {
    let started = stop
        .run_until_cancelled(Pipeline::start(config, roles, telemetry))
        .await;
    let Some(started) = started else {
        return Ok(None);
    };
    let mut pipeline = started.context(NotStarted)?;
    let ended = pipeline.supervise(&stop).await;
    let drained = pipeline.drain().await;
    ended.and(drained).map(|()| Some(pipeline.report()))
}

/// Without a new row for so long, and nothing waiting on the bus, missing rows will not come any more.
const STALL: Duration = Duration::from_secs(10);

struct Pipeline {
    config: Config,
    clock: Clock,
    topology: Topology,
    bus: Option<Arc<dyn Bus>>,
    service_tasks: ServiceTasks,
    progress: watch::Receiver<metric::Progress>,
    view: watch::Receiver<Arc<View>>,
    page: Option<Page>,
    /// A service failed that others wait for.
    broken: bool,
}

impl Pipeline {
    fn show_progress(&self, telemetry: &Telemetry) {
        telemetry.show_progress(self.config.features.count);
        let (bar, mut progress) = (telemetry.progress.clone(), self.progress.clone());
        tokio::spawn(async move {
            while progress.changed().await.is_ok() {
                bar.set_position(progress.borrow_and_update().rows_of_run);
            }
            bar.finish_and_clear();
        });
    }

    /// Waits for the end: a signal, a service that ended, or a source whose rows are all in the log.
    async fn supervise(&mut self, stop: &CancellationToken) -> Result<()> {
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            role = self.service_tasks.any_ended() => role,
        };
        if ended != Role::Features {
            return self.broke(ended);
        }
        let handled = self.service_tasks.outcome(ended)?;
        if !self.service_tasks.has(Role::Metric) {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            arrived = self.all_recorded(handled) => arrived,
        }
    }

    /// A service that only ends when it is told to has ended: what is left on the bus cannot be worked off.
    fn broke(&mut self, role: Role) -> Result<()> {
        self.broken = true;
        self.service_tasks.outcome(role)?;
        bail!("{} ended by itself", role.name())
    }

    /// Waits until so many rows of this run are in the log.
    async fn all_recorded(&mut self, sent: u64) -> Result<()> {
        let mut last = (0, Instant::now());
        loop {
            let recorded = self.progress.borrow_and_update().rows_of_run;
            if recorded >= sent {
                return Ok(());
            }
            if recorded != last.0 {
                last = (recorded, Instant::now());
            }
            if last.1.elapsed() > STALL && self.waiting(&self.topology).await? == 0 {
                bail!(
                    "{recorded} of {sent} rows are in the log and no more will come; \
                     the dead letters and `unmatched.csv` tell about the others"
                );
            }
            tokio::select! {
                changed = self.progress.changed() => if changed.is_err() {
                    // Nobody tells any more, so the metric service is ending: its own reason is the one to give.
                    let ended = self.service_tasks.any_ended().await;
                    return self.broke(ended);
                },
                ended = self.service_tasks.any_ended() => return self.broke(ended),
                () = tokio::time::sleep(STALL / 10) => {}
            }
        }
    }

    fn report(&self) -> Report {
        Report {
            recorded: self.progress.borrow().rows_of_run,
            latency_us: self.progress.borrow().row_latency_us,
            span_us: self.progress.borrow().span_us,
            quality: self.view.borrow().all_time.clone(),
            classification: self.view.borrow().classification.clone(),
            log_loss: self
                .progress
                .borrow()
                .log_loss
                .as_ref()
                .map(|loss| loss.all_time),
            log: inputs::log_file(&self.config.logs),
            picture: picture(&self.config),
        }
    }
}
