//! Start and stop.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    config::Config, depth, error::DashboardError, gate::Gate, guard, listen, ports::State,
    routes::router, state::AppState, token::Token,
};

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
        ingest: state.ingest.map(|ingest| Gate::new(ingest, &state.config)),
        config: state.config,
        clock: state.clock,
        view: state.view,
        picture: state.picture,
        style: state.style,
        metrics: state.metrics,
        progress: state.progress,
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
