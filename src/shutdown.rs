//! SIGINT and SIGTERM become a token; a second signal ends the process at once.
//!
//! Ending at once is safe: whatever was not acknowledged comes back from the bus, and the log repairs its tail.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal: 128 + SIGINT.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Starts to listen and returns the token that the first signal cancels.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    tokio::spawn(listen(interrupt, terminate, stop.clone()));
    Ok(stop)
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, stop: CancellationToken) {
    any_signal(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping: finishing what is in flight (a second signal ends at once)");
    stop.cancel();
    any_signal(&mut interrupt, &mut terminate).await;
    tracing::warn!("second signal: ending at once; unsettled messages go back to the bus");
    std::process::exit(EXIT_SECOND_SIGNAL);
}

async fn any_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
