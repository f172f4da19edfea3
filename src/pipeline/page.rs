//! What the page is told: ports into the running pipeline.

use std::sync::Arc;

use anyhow::Result;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{Pipeline, picture};
use crate::{
    bus::{self, Bus},
    dashboard::{self, BusPort, Ingest, State},
    message::{Body, Features, Prediction, Truth},
    stats::LedgerSnapshot,
    telemetry::Telemetry,
};
use residual_model::Model;

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
    /// Begins to serve the page; the services run already.
    pub(super) async fn serve_page(
        &mut self,
        listener: TcpListener,
        telemetry: &Telemetry,
        model: Option<watch::Receiver<Arc<Model>>>,
        joins: bool,
    ) -> Result<()> {
        let is_local = listener.local_addr()?.ip().is_loopback();
        let has_token = dashboard::admit(&self.config.dashboard, listener.local_addr()?)?.is_some();
        let [draining, taken, stop] = std::array::from_fn(|_| CancellationToken::new());
        let metrics = telemetry.clone();
        let clock = self.clock;
        let (progress, roster) = (self.progress.clone(), self.service_tasks.roster());
        let state = State {
            config: self.config.dashboard.clone(),
            clock: self.clock,
            view: self.view.clone(),
            picture: picture(&self.config),
            style: self.config.chart.clone(),
            metrics: Arc::new(move || metrics.render()),
            ledger: joins.then(|| -> dashboard::Provider<LedgerSnapshot> {
                Arc::new(move || progress.borrow().snapshot(clock.now_ms()))
            }),
            services: Arc::new(move || roster.services()),
            bus: self.bus.clone().map(|bus| self.bus_port(bus)),
            // Whoever may look without a token may still not write.
            ingest: if is_local || has_token {
                self.ingest().await?
            } else {
                None
            },
            model,
            draining: draining.clone(),
            taken: taken.clone(),
        };
        let until = stop.clone();
        let serving = tokio::spawn(async move {
            if let Err(error) = dashboard::serve(listener, state, until).await {
                tracing::error!(%error, "the page failed");
            }
        });
        self.page = Some(Page {
            draining,
            taken,
            stop,
            serving,
        });
        Ok(())
    }

    fn bus_port(&self, bus: Arc<dyn Bus>) -> BusPort {
        BusPort {
            bus,
            topology: self.topology.clone(),
            url: bus::redact(&self.config.bus.url),
        }
    }

    async fn ingest(&self) -> Result<Option<Ingest>> {
        let Some(bus) = &self.bus else {
            return Ok(None);
        };
        Ok(Some(Ingest {
            features: bus.publisher(Features::TOPIC).await?,
            truths: bus.publisher(Truth::TOPIC).await?,
            predictions: bus.publisher(Prediction::TOPIC).await?,
            link: bus.link(),
        }))
    }
}
