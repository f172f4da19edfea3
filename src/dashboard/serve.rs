//! Starts the page, and stops it in order: first no new records, then no new requests.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    access, bus_state, config::Config, error::DashboardError, listen, ports::Ports,
    record_sink::RecordSink, routes::router, state::AppState, token::Token,
};

/// Requests to `/predict` that are computed at a time; more would only compete for the same cores.
const PREDICTING_MAX: usize = 4;

/// The token that clients must show at that address, if any. Callers use it to refuse bad settings before a start.
///
/// # Errors
/// When the address is reachable from outside without a token, or the token cannot be read.
pub fn required_token(
    config: &Config,
    address: SocketAddr,
) -> Result<Option<Token>, DashboardError> {
    let token = config.read_token()?;
    if token.is_none() && !address.ip().is_loopback() && !config.public {
        return Err(DashboardError::Open { address });
    }
    Ok(token)
}

/// Serves until `stop` is cancelled; then streams end, open requests are answered, and publishers are closed.
///
/// # Errors
/// When the listener is reachable from outside without a token, or fails.
pub async fn serve(
    listener: TcpListener,
    ports: Ports,
    stop: CancellationToken,
) -> Result<(), DashboardError> {
    let flushed = ports.flushed.drop_guard();
    let address = listener.local_addr()?;
    let token = required_token(&ports.config, address)?;
    tracing::info!(url = %format_args!("http://{address}"), "page");
    let bus = bus_state::watch(ports.bus, stop.clone());
    let state = Arc::new(AppState {
        streams: Arc::new(Semaphore::new(ports.config.streams_max.max(1))),
        predicting: Semaphore::new(PREDICTING_MAX),
        records: ports
            .ingest
            .map(|ingest| RecordSink::new(ingest, &ports.config)),
        config: ports.config,
        clock: ports.clock,
        view: ports.view,
        picture: ports.picture,
        style: ports.style,
        metrics: ports.metrics,
        ledger: ports.ledger,
        services: ports.services,
        bus,
        model: ports.model,
        draining: ports.draining,
        stop: stop.clone(),
    });
    let app = router(
        Arc::clone(&state),
        access::Access::new(token, address.ip().is_loopback()),
    );
    let serving = listen::listen(listener, app, &state.config, &stop);
    tokio::join!(serving, flush_records(&state, flushed));
    Ok(())
}

/// Takes no more records once the process drains, and cancels `flushed` when those taken before are on the bus.
async fn flush_records(state: &AppState, flushed: DropGuard) {
    tokio::select! {
        () = state.draining.cancelled() => {}
        () = state.stop.cancelled() => {}
    }
    if let Some(records) = &state.records {
        records.close().await;
    }
    drop(flushed);
}
