//! The running pipeline: what starting, supervising and draining it have in common.

use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    paths::{log_file, picture},
    report::Report,
    role::Role,
    service_tasks::ServiceTasks,
};
use crate::{
    bus::{Bus, Topology},
    clock::Clock,
    config::Config,
    services::metric,
    stats::live::View,
};

pub(super) struct Pipeline {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) topology: Topology,
    pub(super) bus: Option<Arc<dyn Bus>>,
    pub(super) service_tasks: ServiceTasks,
    pub(super) progress: watch::Receiver<metric::Progress>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) page: Option<Page>,
    /// A service ended that others depend on, so waiting for an empty bus is pointless.
    pub(super) failed: bool,
}

/// The running page.
pub(super) struct Page {
    /// Cancelled by us: no more records are taken over HTTP.
    pub(super) draining: CancellationToken,
    /// Cancelled by the page: all records taken before are on the bus.
    pub(super) flushed: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

impl Pipeline {
    /// A service has ended that should run until it is stopped: what is left on the bus cannot be processed.
    pub(super) fn ended_early(&mut self, role: Role) -> Result<()> {
        self.failed = true;
        self.service_tasks.outcome(role)?;
        bail!("{} ended unexpectedly", role.name())
    }

    /// Messages that wait or are being processed, without dead letters.
    pub(super) async fn waiting(&self, topology: &Topology) -> Result<u64> {
        let Some(bus) = &self.bus else { return Ok(0) };
        let mut waiting = 0;
        for (topic, group) in topology.working_groups() {
            let depth = bus.depth(topic, group).await?;
            waiting += depth.ready + depth.in_flight;
        }
        Ok(waiting)
    }

    pub(super) fn report(&self) -> Report {
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
            log: log_file(&self.config.logs),
            picture: picture(&self.config),
        }
    }
}
