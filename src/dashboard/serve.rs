//! Ports, routes, start and stop.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BusState, Config, Ingest, Service, api, depth, events, format, guard, ingest, listen, page,
    predict,
    snapshot::{Alert, Level, LinkState, Status, StatusSnapshot},
    token::Token,
};
use crate::{
    bus::{Bus, Topology},
    chart,
    clock::Clock,
    message::{Features, Prediction, Truth},
    stats::{LedgerSnapshot, live::View},
};
use residual_model::Model;

/// Tells how something is right now; it must return at once.
pub type Provider<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Where the dashboard gets what it shows, and where it sends what it is given.
pub struct State {
    /// Settings.
    pub config: Config,
    /// Tells the time.
    pub clock: Clock,
    /// What the plot service sees.
    pub view: watch::Receiver<Arc<View>>,
    /// The file of the picture.
    pub picture: PathBuf,
    /// How the picture looks when it is drawn as SVG.
    pub style: chart::Config,
    /// All metrics of the process in Prometheus' text format.
    pub metrics: Provider<String>,
    /// The join ledger, where the metric service runs here.
    pub ledger: Option<Provider<LedgerSnapshot>>,
    /// The services of this process.
    pub services: Provider<Vec<Service>>,
    /// The bus, for its link and its depths.
    pub bus: Option<BusPort>,
    /// Where posted records go; `None` refuses them.
    pub ingest: Option<Ingest>,
    /// What `/predict` answers with; `None` refuses it.
    pub model: Option<watch::Receiver<Arc<Model>>>,
    /// Once cancelled, no records are taken any more, while the page goes on.
    pub draining: CancellationToken,
    /// Cancelled by [`serve`] once all that was taken is on the bus, after `draining`.
    pub taken: CancellationToken,
}

/// The bus as the page watches it.
pub struct BusPort {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The groups to watch.
    pub topology: Topology,
    /// Where it is, without its password.
    pub url: String,
}

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Reachable from outside without a token.
    #[error(
        "`dashboard.listen` {address} is reachable from outside; set `dashboard.token` or listen on 127.0.0.1"
    )]
    Open {
        /// Where it would have listened.
        address: SocketAddr,
    },
    /// The file with the token cannot be read.
    #[error("cannot read `{}`, named by `dashboard.token_file`", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No secret at all.
    #[error("`dashboard.token` is empty; give a long random text or remove it")]
    EmptyToken,
    /// The listener failed.
    #[error("the page's listener failed")]
    Listener(#[from] io::Error),
}

/// What every handler shares.
pub(super) struct AppState {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) picture: PathBuf,
    pub(super) style: chart::Config,
    pub(super) metrics: Provider<String>,
    pub(super) ledger: Option<Provider<LedgerSnapshot>>,
    pub(super) services: Provider<Vec<Service>>,
    pub(super) bus: watch::Receiver<Option<BusState>>,
    pub(super) ingest: Option<ingest::Gate>,
    pub(super) model: Option<watch::Receiver<Arc<Model>>>,
    pub(super) predicting: Semaphore,
    pub(super) streams: Arc<Semaphore>,
    pub(super) draining: CancellationToken,
    pub(super) stop: CancellationToken,
}

/// Predictions worked on at a time; the model has the cores for no more.
const PREDICTING_MAX: usize = 4;

/// The token that clients must show at that address, if any; for refusing a bad setting before anything starts.
///
/// # Errors
/// When the address is reachable from outside without a token, or the token cannot be read.
pub fn admit(config: &Config, address: SocketAddr) -> Result<Option<Token>, DashboardError> {
    let token = config.bearer()?;
    if token.is_none() && !address.ip().is_loopback() && !config.public {
        return Err(DashboardError::Open { address });
    }
    Ok(token)
}

/// Serves until `stop` is cancelled; then streams end, requests in work are answered, and publishers are closed.
///
/// # Errors
/// When the listener is reachable from outside without a token, or fails.
pub async fn serve(
    listener: TcpListener,
    state: State,
    stop: CancellationToken,
) -> Result<(), DashboardError> {
    let taken = state.taken.drop_guard();
    let address = listener.local_addr()?;
    let token = admit(&state.config, address)?;
    tracing::info!(url = %format_args!("http://{address}"), "page");
    let bus = depth::watch(state.bus, stop.clone());
    let state = Arc::new(AppState {
        streams: Arc::new(Semaphore::new(state.config.streams_max.max(1))),
        predicting: Semaphore::new(PREDICTING_MAX),
        ingest: state
            .ingest
            .map(|ingest| ingest::Gate::new(ingest, &state.config)),
        config: state.config,
        clock: state.clock,
        view: state.view,
        picture: state.picture,
        style: state.style,
        metrics: state.metrics,
        ledger: state.ledger,
        services: state.services,
        bus,
        model: state.model,
        draining: state.draining,
        stop: stop.clone(),
    });
    let app = router(
        Arc::clone(&state),
        guard::Lock::new(token, address.ip().is_loopback()),
    );
    let serving = listen::listen(listener, app, &state.config, &stop);
    tokio::join!(serving, close_gate(&state, taken));
    Ok(())
}

/// Lets nothing more in once the process drains, and says when all that was let in is on the bus.
async fn close_gate(state: &AppState, taken: DropGuard) {
    tokio::select! {
        () = state.draining.cancelled() => {}
        () = state.stop.cancelled() => {}
    }
    if let Some(gate) = &state.ingest {
        gate.close().await;
    }
    drop(taken);
}

fn router(state: Arc<AppState>, lock: guard::Lock) -> Router {
    Router::new()
        .route("/", get(page::whole))
        .route("/events", get(events::stream))
        .route("/api/summary", get(api::summary))
        .route("/error_distribution.png", get(api::png))
        .route("/error_distribution.svg", get(api::svg))
        .route("/metrics", get(api::metrics))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/login", post(guard::login))
        .route("/features", post(ingest::post::<Features>))
        .route("/y_true", post(ingest::post::<Truth>))
        .route("/y_pred", post(ingest::post::<Prediction>))
        .route("/predict", post(predict::post))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::wrong_method)
        .with_state(state)
        .layer(from_fn_with_state(Arc::new(lock), guard::guard))
        .layer(from_fn(guard::headers))
}

impl AppState {
    /// Gathers everything.
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
            services: (self.services)(),
        }
    }

    /// The most important trouble first.
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
                "{url} does not answer ({reason}); {tries} tries so far, it is tried again."
            );
            return status(Level::BrokerAway, "Broker away", detail);
        }
        if let Some(reason) = ledger.and_then(|ledger| ledger.failing.as_ref()) {
            return status(Level::NotRecording, "Not recording", format!("{reason}."));
        }
        if view.rows == 0 {
            let detail =
                "No row is in the log yet: a row needs a truth and a prediction of one id.";
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
                let detail = "No new row since the start: these numbers are of an older log.";
                status(Level::Silent, "Silent", detail.to_owned())
            }
        }
    }
}
