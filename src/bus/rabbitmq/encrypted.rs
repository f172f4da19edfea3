//! AMQP inside TLS.
//!
//! lapin lets its caller choose the runtime that opens sockets. Ours opens sockets that are encrypted already, so that
//! both brokers share one TLS implementation, one set of settings and one reading of a failed handshake.

use std::{
    fmt,
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures::{AsyncRead, AsyncWrite, Stream};
use lapin::{
    Connection, ConnectionProperties,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Connects to the broker of an `amqps://` URI.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    config: Arc<ClientConfig>,
) -> lapin::Result<Connection> {
    let reactor = TlsReactor {
        tokio: Tokio::current(),
        connector: Connector::new(&uri.authority.host, config)?,
    };
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), reactor));
    // lapin is given an unencrypted URI, as it has nothing to encrypt any more.
    let uri = AMQPUri {
        scheme: AMQPScheme::AMQP,
        ..uri
    };
    Connection::connect_uri_with_runtime(uri, properties, runtime).await
}

/// Encrypts TCP streams to one host.
#[derive(Clone)]
pub(super) struct Connector {
    config: TlsConnector,
    host: ServerName<'static>,
}

impl Connector {
    pub(super) fn new(host: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        Ok(Self {
            config: TlsConnector::from(config),
            host: ServerName::try_from(host.to_owned()).map_err(invalid)?,
        })
    }

    pub(super) async fn connect(self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        self.config.connect(self.host, stream).await
    }
}

/// A reactor whose TCP streams are TLS streams; all the rest is tokio's.
#[derive(Clone)]
struct TlsReactor {
    tokio: Tokio,
    connector: Connector,
}

impl fmt::Debug for TlsReactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsReactor")
    }
}

impl Reactor for TlsReactor {
    type TcpStream = Compat<TlsStream<TcpStream>>;
    type Sleep = tokio::time::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, wait: Duration) -> Self::Sleep {
        self.tokio.sleep(wait)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connector = self.connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            Ok(connector.connect(stream).await?.compat())
        }
    }
}
