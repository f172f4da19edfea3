//! Connections: how many, and how long a client may dawdle.
//!
//! Promise: a client costs a place only while it does something. One that sends the head of a request slowly, sits idle on a
//! kept connection, or does not take what it asked for (also an open stream of updates) is cut off after
//! `dashboard.client_timeout`; slow bodies end sooner, where they are read. So a client that holds all
//! places, as "slowloris" does, holds them for that long. Others wait in the system's queue.

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
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::config::Config;

/// How long clients may take to hang up at the stop.
const GOODBYE: Duration = Duration::from_secs(3);

/// Largest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// After a failed accept, such as for want of file descriptors, the next try waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves connections until the stop; then open requests may end.
pub(super) async fn listen(
    listener: TcpListener,
    app: Router,
    config: &Config,
    stop: &CancellationToken,
) {
    let patience = config.client_timeout.0.max(Duration::from_millis(1));
    let places = Arc::new(Semaphore::new(config.connections_max.max(1)));
    let mut connections = JoinSet::new();
    let next = async || {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        (accept(&listener).await, place)
    };
    while let Some((stream, place)) = stop.run_until_cancelled(next()).await {
        // What has ended already is forgotten, or the set would grow with every connection.
        while connections.try_join_next().is_some() {}
        let serving = serve(stream, app.clone(), patience, stop.clone());
        connections.spawn(async move {
            serving.await;
            drop(place);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GOODBYE, ended).await.is_err() {
        tracing::debug!("clients did not hang up, they are cut off");
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

async fn serve(stream: TcpStream, app: Router, patience: Duration, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_BYTES_MAX);
    let stream = TokioIo::new(Impatient::new(stream, patience));
    let connection = http.serve_connection(stream, TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    let ended = if let Some(ended) = stop.run_until_cancelled(connection.as_mut()).await {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection broke off");
    }
}

/// A connection whose other side must take what is written within some time.
struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            waiting: None,
        }
    }

    /// What a write came to, or that it has waited for too long.
    fn spec<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.spec(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.spec(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.spec(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (ours, mut theirs) = duplex(16);
        let mut writer = Impatient::new(ours, Duration::from_secs(10));
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
