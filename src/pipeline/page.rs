//! Connects the page to the running pipeline.

use std::sync::Arc;

use anyhow::Result;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    paths::picture,
    state::{Page, Pipeline},
};
use crate::{
    bus::{self, Bus},
    dashboard::{self, BusPort, Ingest, Ports, Provider},
    message::{Body, Features, Prediction, Truth},
    stats::LedgerSnapshot,
    telemetry::{Telemetry, with_causes},
};
use residual_model::Model;

impl Pipeline {
    /// Starts the page; the services run already.
    pub(super) async fn serve_page(
        &mut self,
        listener: TcpListener,
        telemetry: &Telemetry,
        model: Option<watch::Receiver<Arc<Model>>>,
        joins: bool,
    ) -> Result<()> {
        let is_local = listener.local_addr()?.ip().is_loopback();
        let has_token =
            dashboard::required_token(&self.config.dashboard, listener.local_addr()?)?.is_some();
        let [draining, flushed, stop] = std::array::from_fn(|_| CancellationToken::new());
        let metrics = telemetry.clone();
        let (progress, clock) = (self.progress.clone(), self.clock);
        let ports = Ports {
            config: self.config.dashboard.clone(),
            clock,
            view: self.view.clone(),
            picture: picture(&self.config),
            style: self.config.chart.clone(),
            metrics: Arc::new(move || metrics.render()),
            ledger: joins.then(|| -> Provider<LedgerSnapshot> {
                Arc::new(move || progress.borrow().snapshot(clock.now_ms()))
            }),
            services: self.service_tasks.watch(),
            bus: self.bus.clone().map(|bus| self.bus_port(bus)),
            // A public page may be read without a token, but nobody may post to it.
            ingest: if is_local || has_token {
                self.ingest().await?
            } else {
                None
            },
            model,
            draining: draining.clone(),
            flushed: flushed.clone(),
        };
        let until = stop.clone();
        let serving = tokio::spawn(async move {
            if let Err(error) = dashboard::serve(listener, ports, until).await {
                tracing::error!(error = %with_causes(&error), "the page failed");
            }
        });
        self.page = Some(Page {
            draining,
            flushed,
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
