//! What every handler shares, and how it becomes one snapshot.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    config::Config,
    format,
    ports::Provider,
    record_sink::RecordSink,
    snapshot::{Alert, BusState, Level, LinkState, Service, Status, StatusSnapshot},
};
use crate::{
    chart,
    clock::Clock,
    stats::{LedgerSnapshot, live::View},
};
use residual_model::Model;

/// What every handler shares.
pub(super) struct AppState {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) picture: PathBuf,
    pub(super) style: chart::Config,
    pub(super) metrics: Provider<String>,
    pub(super) ledger: Option<Provider<LedgerSnapshot>>,
    pub(super) services: watch::Receiver<Vec<Service>>,
    pub(super) bus: watch::Receiver<Option<BusState>>,
    pub(super) records: Option<RecordSink>,
    pub(super) model: Option<watch::Receiver<Arc<Model>>>,
    /// A permit for each request to `/predict` that may be computed at a time.
    pub(super) predicting: Semaphore,
    /// A permit for each page that may get live updates at a time.
    pub(super) streams: Arc<Semaphore>,
    /// Cancelled when no more records are taken.
    pub(super) draining: CancellationToken,
    /// Cancelled when the page ends.
    pub(super) stop: CancellationToken,
}

impl AppState {
    /// Everything that is known now.
    pub(super) fn snapshot(&self) -> StatusSnapshot {
        let now_ms = self.clock.now_ms();
        let view = Arc::clone(&self.view.borrow());
        let bus = self.bus.borrow().clone();
        let ledger = self.ledger.as_ref().map(|ledger| ledger());
        let silent_ms = view.last_row_ms.map(|last| now_ms.saturating_sub(last));
        StatusSnapshot {
            version: env!("CARGO_PKG_VERSION"),
            now_ms,
            status: self.status(&view, silent_ms, bus.as_ref(), ledger.as_ref()),
            alert: Alert::of(&view.last_rows, self.config.mae_max),
            silent_ms,
            view,
            ledger,
            bus,
            services: self.services.borrow().clone(),
        }
    }

    /// The most important problem, if there are several.
    fn status(
        &self,
        view: &View,
        silent_ms: Option<u64>,
        bus: Option<&BusState>,
        ledger: Option<&LedgerSnapshot>,
    ) -> Status {
        let status = |level, title: &str, detail| Status {
            level,
            title: title.to_owned(),
            detail,
        };
        if let Some(BusState {
            link: LinkState::Down { reason, tries },
            url,
            ..
        }) = bus
        {
            let detail = format!(
                "{url} does not answer ({reason}); {tries} tries so far, and residual keeps trying."
            );
            return status(Level::BrokerAway, "Broker unreachable", detail);
        }
        if let Some(reason) = ledger.and_then(|ledger| ledger.failing.as_ref()) {
            return status(Level::NotRecording, "Not recording", format!("{reason}."));
        }
        if view.rows == 0 {
            let detail =
                "No row is in the log yet: a row needs a truth and a prediction with the same id.";
            return status(Level::Waiting, "Waiting", detail.to_owned());
        }
        let silent_after = crate::clock::saturating_ms(self.config.silent_after.0);
        match silent_ms {
            Some(silent) if silent <= silent_after => status(Level::Live, "Live", String::new()),
            Some(silent) => {
                let detail = format!(
                    "No new row for {}: these numbers are old.",
                    format::duration(silent)
                );
                status(Level::Silent, "Silent", detail)
            }
            None => {
                let detail = "No new row since the start: these numbers are from an older log.";
                status(Level::Silent, "Silent", detail.to_owned())
            }
        }
    }
}
