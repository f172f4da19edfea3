//! What the page is told: ports into the running pipeline.

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
    clock::UnixMs,
    dashboard::{self, BusPort, Ingest, Ledger, LogLoss, LossFigure, State},
    message::{Body, Features, Prediction, Truth},
    services::metric::Progress,
    stats::{self, LossBrief},
    telemetry::Telemetry,
};
use residual_model::Model;

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
            ledger: joins.then(|| -> dashboard::Provider<Ledger> {
                Arc::new(move || ledger(&progress.borrow(), clock.now_ms()))
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

fn log_loss(brief: &LossBrief, now_ms: UnixMs) -> LogLoss {
    let figure = |loss: stats::LogLoss| LossFigure {
        n: loss.n,
        value: loss.mean(),
    };
    LogLoss {
        all_time: figure(brief.all_time),
        last_rows: figure(brief.last_rows),
        recent: figure(brief.recent(now_ms)),
    }
}

fn ledger(progress: &Progress, now_ms: UnixMs) -> Ledger {
    let counters = &progress.counters;
    Ledger {
        received: counters.received,
        matched: counters.matched,
        duplicate: counters.duplicate,
        conflicting: counters.conflicting,
        expired_truth: counters.expired_truth,
        expired_prediction: counters.expired_prediction,
        late: counters.late,
        evicted_truth: counters.evicted_truth,
        evicted_prediction: counters.evicted_prediction,
        malformed: counters.malformed,
        pending: progress.pending,
        coverage: counters.coverage(),
        label_delay_p50_ms: progress.label_delay_p50_ms,
        label_delay_p95_ms: progress.label_delay_p95_ms,
        log_loss: progress
            .log_loss
            .as_ref()
            .map(|brief| log_loss(brief, now_ms)),
        failing: progress.failing.as_deref().map(str::to_owned),
    }
}
