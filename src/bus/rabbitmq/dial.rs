//! From a URL to two authenticated connections.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
#[cfg(feature = "tls")]
use lapin::uri::AMQPScheme;
use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use tokio::{net::TcpStream, time::timeout};

#[cfg(feature = "tls")]
use super::encrypted;
use super::{error::connect_error, server_properties, session::RabbitSession};
use crate::bus::{
    BrokerInfo, BusError, Config, redact,
    remote::{ConnectError, Dial, Seeds, Session, SessionError, SessionErrorKind},
};
#[cfg(feature = "tls")]
use crate::bus::{TlsConfig, tls::client_config};

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds between heartbeats; a half-open link is noticed after at most two of them.
const HEARTBEAT_S: u16 = 10;

/// The client keeps 64 times this for each connection; the broker's own wish, 128 KiB, makes that 8 MiB. Larger bodies
/// go in several frames; headers must fit into one.
const FRAME_BYTES_MAX: u32 = 32 << 10;

/// Everything needed to connect.
pub(super) struct RabbitDial {
    uri: AMQPUri,
    #[cfg(feature = "tls")]
    tls: TlsConfig,
    prefix: String,
    broker: Arc<OnceLock<BrokerInfo>>,
    seeds: Arc<Seeds>,
}

impl RabbitDial {
    pub(super) fn new(
        url: &str,
        config: &Config,
        broker: Arc<OnceLock<BrokerInfo>>,
        seeds: Arc<Seeds>,
    ) -> Result<Self, BusError> {
        let error = |reason: String| BusError::Url {
            url: redact(url),
            reason,
            source: None,
        };
        config.tls.check(url, cfg!(feature = "tls"))?;
        let mut uri = url.parse::<AMQPUri>().map_err(error)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        uri.query.frame_max.get_or_insert(FRAME_BYTES_MAX);
        Ok(Self {
            uri,
            #[cfg(feature = "tls")]
            tls: config.tls.clone(),
            prefix: config.prefix.clone(),
            broker,
            seeds,
        })
    }

    async fn connect(&self, purpose: &str) -> Result<Connection, ConnectError> {
        let name = format!("residual {purpose}");
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let opened = timeout(CONNECT_TIMEOUT, self.open(properties)).await;
        opened.unwrap_or_else(|_| {
            let kind = SessionErrorKind::TimedOut(CONNECT_TIMEOUT);
            Err(SessionError::new(kind, "the connection attempt").into())
        })
    }

    async fn open(&self, properties: ConnectionProperties) -> Result<Connection, ConnectError> {
        let uri = self.uri.clone();
        #[cfg(feature = "tls")]
        if uri.scheme == AMQPScheme::AMQPS {
            let config = client_config(&self.tls).await?;
            let opened = encrypted::connect(uri, properties, config).await;
            return opened.map_err(|error| connect_error(error, &self.uri));
        }
        let opened = Connection::connect_uri(uri, properties).await;
        opened.map_err(|error| connect_error(error, &self.uri))
    }

    async fn broker_info(&self) -> BrokerInfo {
        let authority = &self.uri.authority;
        let plain = TcpStream::connect((authority.host.as_str(), authority.port));
        #[cfg(feature = "tls")]
        if self.uri.scheme == AMQPScheme::AMQPS {
            let encrypting = async {
                let config = client_config(&self.tls).await.ok()?;
                let connector = encrypted::Connector::new(&authority.host, config).ok()?;
                connector.connect(plain.await.ok()?).await.ok()
            };
            return server_properties::ask(encrypting).await;
        }
        server_properties::ask(async { plain.await.ok() }).await
    }
}

#[async_trait]
impl Dial for RabbitDial {
    async fn dial(&self) -> Result<Box<dyn Session>, ConnectError> {
        let consuming = self.connect("consume").await?;
        let publishing = self.connect("publish").await?;
        let broker = match self.broker.get() {
            Some(broker) => broker.clone(),
            None => self.broker_info().await,
        };
        // It is the same broker at every later connection, as far as we care.
        self.broker.set(broker.clone()).ok();
        Ok(Box::new(RabbitSession::new(
            consuming,
            publishing,
            self.prefix.clone(),
            broker,
            Arc::clone(&self.seeds),
        )))
    }
}
