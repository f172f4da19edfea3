//! From a URL to two authenticated connections.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    Connection, ConnectionProperties, ErrorKind,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;

use super::{greeting, session::RabbitSession};
use crate::bus::{
    BrokerInfo, BusError, Config, redact,
    remote::{Dial, Session, Trouble},
};

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds between heartbeats; a half-open link is noticed after at most two of them.
const HEARTBEAT_S: u16 = 10;

/// Everything needed to connect.
pub(super) struct RabbitDial {
    uri: AMQPUri,
    prefix: String,
    broker: Arc<OnceLock<BrokerInfo>>,
}

impl RabbitDial {
    pub(super) fn new(
        url: &str,
        config: &Config,
        broker: Arc<OnceLock<BrokerInfo>>,
    ) -> Result<Self, BusError> {
        let error = |reason: String| BusError::Url {
            url: redact(url),
            reason,
        };
        let mut uri = url.parse::<AMQPUri>().map_err(&error)?;
        if uri.scheme == AMQPScheme::AMQPS && !cfg!(feature = "tls") {
            return Err(error(
                "this build has no TLS; build it with `--features tls`".to_owned(),
            ));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Self {
            uri,
            prefix: config.prefix.clone(),
            broker,
        })
    }

    async fn connect(&self, purpose: &str) -> Result<Connection, Trouble> {
        let name = format!("residual {purpose}");
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        match timeout(
            CONNECT_TIMEOUT,
            Connection::connect_uri(self.uri.clone(), properties),
        )
        .await
        {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(connect_trouble(&error, &self.uri)),
            Err(_) => Err(Trouble::Passing(format!(
                "no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }
}

#[async_trait]
impl Dial for RabbitDial {
    async fn dial(&self) -> Result<Box<dyn Session>, Trouble> {
        let consuming = self.connect("consume").await?;
        let publishing = self.connect("publish").await?;
        if self.broker.get().is_none() {
            let broker = greeting::ask(&self.uri).await;
            // Another session cannot have been faster: there is one at a time.
            self.broker.set(broker).ok();
        }
        let broker = self.broker.get().cloned().unwrap_or_else(|| BrokerInfo {
            name: "RabbitMQ".to_owned(),
            version: "unknown".to_owned(),
        });
        Ok(Box::new(RabbitSession::new(
            consuming,
            publishing,
            self.prefix.clone(),
            broker,
        )))
    }
}

fn connect_trouble(error: &lapin::Error, uri: &AMQPUri) -> Trouble {
    let reason = error.to_string();
    let ErrorKind::ProtocolError(amqp) = error.kind() else {
        return Trouble::Passing(reason);
    };
    let vhost = &uri.vhost;
    match amqp.get_id() {
        403 => Trouble::refused(reason, "give the right user and password in the bus URL"),
        // A virtual host that is down comes back with its node.
        530 if reason.contains(" down") => Trouble::Passing(reason),
        530 if reason.contains("not found") => Trouble::refused(
            reason,
            format!(
                "make it with `rabbitmqctl add_vhost {vhost}`, or name another in the bus URL (`/%2f` is the default one)"
            ),
        ),
        530 => Trouble::refused(
            reason,
            format!(
                "allow this user the virtual host `{vhost}` with `rabbitmqctl set_permissions`"
            ),
        ),
        _ => Trouble::Passing(reason),
    }
}
