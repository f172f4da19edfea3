//! Connections: how many at a time, and how long a client may keep one without using it.
//!
//! Promise: a client that sends the head of a request slowly, sits idle on a kept connection, or does not read the
//! answer (an open stream of updates counts too) is cut off after `dashboard.client_timeout`; slow bodies have a limit
//! of their own, where they are read. So an attacker who takes every connection ("slowloris") holds them no longer than
//! that, while other clients wait in the system's accept queue.
//!
//! hyper limits the time for the head, and hyper-util's `GracefulShutdown` lets open requests finish at the stop.
//! Neither limits the number of connections, nor the time that a write may wait for the client, nor how long the
//! finishing may take; `axum::serve` offers none of these. That is what this module adds.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Sleep, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::config::Config;

/// How long open connections may take to finish at the stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Largest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// After a failed accept, such as for want of file descriptors, the next try waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves connections until `stop`; then requests that are being answered may finish.
pub(super) async fn listen(
    listener: TcpListener,
    app: Router,
    config: &Config,
    stop: &CancellationToken,
) {
    let client_timeout = config.client_timeout.0.max(Duration::from_millis(1));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_buf_size(HEAD_BYTES_MAX);
    let permits = Arc::new(Semaphore::new(config.connections_max.max(1)));
    let graceful = GracefulShutdown::new();
    // Dropping the guard ends every connection that is still there, also when this future is dropped itself.
    let cut_off = CancellationToken::new();
    let _guard = cut_off.clone().drop_guard();
    let next = async || {
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await.ok();
        (accept(&listener).await, permit)
    };
    while let Some((stream, permit)) = stop.run_until_cancelled(next()).await {
        let stream = TokioIo::new(WriteTimeout::new(stream, client_timeout));
        let service = TowerToHyperService::new(app.clone());
        let connection = graceful.watch(http.serve_connection(stream, service));
        let cut_off = cut_off.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = cut_off.run_until_cancelled_owned(connection).await {
                tracing::trace!(%error, "a connection broke off");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(CLOSE_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::debug!("clients did not hang up; they are cut off");
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection whose client must read what is written within some time.
struct WriteTimeout<S> {
    stream: S,
    timeout: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            timeout,
            waiting: None,
        }
    }

    /// Passes on the outcome of a write; an error once it has waited for too long.
    fn or_timed_out<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let timeout = self.timeout;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(timeout)));
        waiting
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_timed_out(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.or_timed_out(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.or_timed_out(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_cut_off_and_a_slow_one_is_not() {
        let (ours, mut theirs) = duplex(16);
        let mut writer = WriteTimeout::new(ours, Duration::from_secs(10));
        let writing = tokio::spawn(async move {
            writer.write_all(&[7; 64]).await?;
            // From here on nobody reads.
            writer.write_all(&[7; 64]).await
        });
        for _ in 0..4 {
            sleep(Duration::from_secs(9)).await;
            theirs.read_exact(&mut [0; 16]).await.unwrap();
        }
        let ended = timeout(Duration::from_secs(30), writing).await.unwrap();
        assert_eq!(ended.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
