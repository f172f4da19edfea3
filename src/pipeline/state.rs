//! The running pipeline, as those who start, supervise and drain it share it.

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
    /// A service failed that others wait for.
    pub(super) broken: bool,
}

/// The running page.
pub(super) struct Page {
    /// No records are taken over HTTP any more.
    pub(super) draining: CancellationToken,
    /// All that was taken before is on the bus.
    pub(super) taken: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

impl Pipeline {
    /// A service that only ends when it is told to has ended: what is left on the bus cannot be worked off.
    pub(super) fn broke(&mut self, role: Role) -> Result<()> {
        self.broken = true;
        self.service_tasks.outcome(role)?;
        bail!("{} ended by itself", role.name())
    }

    /// Messages that wait or are being worked on, dead letters aside.
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
