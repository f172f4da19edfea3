//! One pair of connections to a RabbitMQ server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use lapin::{Connection, Event};
use tokio::time::{interval, timeout};
use tracing::{info, warn};

use super::{ids::RandomIds, inlet::RabbitInlet, outlet::RabbitOutlet, topology};
use crate::bus::{
    BrokerInfo, Topology,
    remote::{
        ConnectError, GroupStats, Inlet, Outlet, Seeds, Session, SessionError, SessionErrorKind,
        answered,
    },
};

/// How often to check for a connection that ended without an event.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// How long closing a connection in order may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// See [`Session`].
pub(super) struct RabbitSession {
    consuming: Connection,
    publishing: Connection,
    prefix: String,
    broker: BrokerInfo,
    seeds: Arc<Seeds>,
}

impl RabbitSession {
    pub(super) fn new(
        consuming: Connection,
        publishing: Connection,
        prefix: String,
        broker: BrokerInfo,
        seeds: Arc<Seeds>,
    ) -> Self {
        Self {
            consuming,
            publishing,
            prefix,
            broker,
            seeds,
        }
    }
}

#[async_trait]
impl Session for RabbitSession {
    async fn lost(&self) -> SessionError {
        tokio::select! {
            error = lost(&self.consuming) => error,
            error = lost(&self.publishing) => error,
        }
    }

    async fn declare(&self, topology: &Topology) -> Result<(), ConnectError> {
        topology::declare(&self.consuming, &self.prefix, topology).await
    }

    async fn check_topology(&self, topology: &Topology) -> Result<(), SessionError> {
        topology::check_topology(&self.consuming, &self.prefix, topology).await
    }

    async fn outlet(&self, topic: &str, routed: bool) -> Result<Box<dyn Outlet>, SessionError> {
        let exchange = topology::exchange(&self.prefix, topic);
        let opening = RabbitOutlet::open(&self.publishing, &exchange, routed);
        tokio::pin!(opening);
        loop {
            match answered("opening a channel", &mut opening).await {
                Ok(outlet) => return Ok(Box::new(outlet?)),
                // A broker that is short of resources answers nothing on a connection that publishes.
                Err(_) if self.publishing.status().blocked() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn inlet(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Inlet>, SessionError> {
        let queue = topology::queue(&self.prefix, topic, group);
        let ids = RandomIds::new(self.seeds.next());
        let inlet = RabbitInlet::open(&self.consuming, &queue, window, ids).await?;
        Ok(Box::new(inlet))
    }

    async fn group_stats(&self, topic: &str, group: &str) -> Result<GroupStats, SessionError> {
        let queue = topology::queue(&self.prefix, topic, group);
        let channel = self
            .consuming
            .create_channel()
            .await
            .map_err(|error| SessionError::failed("opening a channel", error))?;
        let ready = topology::ready_count(&channel, &queue).await?;
        let closed = channel.close(200, "done".into()).await;
        closed.map_err(|error| SessionError::failed("closing a channel", error))?;
        Ok(GroupStats::Ready(ready))
    }

    fn broker(&self) -> BrokerInfo {
        self.broker.clone()
    }

    async fn close(&self) {
        for connection in [&self.publishing, &self.consuming] {
            // A connection that is lost cannot be closed in order, and need not.
            drop(timeout(CLOSE_TIMEOUT, connection.close(200, "done".into())).await);
        }
    }
}

/// Resolves when the connection has ended; logs when the broker blocks it.
async fn lost(connection: &Connection) -> SessionError {
    const CONNECTION: &str = "the connection";
    let mut events = std::pin::pin!(connection.events_listener());
    let mut look = interval(LOOK_PERIOD);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Error(error)) if !connection.status().connected() => {
                    return SessionError::new(SessionErrorKind::Lost, CONNECTION).caused_by(error);
                }
                Some(Event::ConnectionBlocked(reason)) => {
                    warn!(reason, "the broker is short of resources, publishers wait");
                }
                Some(Event::ConnectionUnblocked) => info!("the broker takes messages again"),
                Some(_) => {}
                None => return SessionError::new(SessionErrorKind::Lost, CONNECTION),
            },
            _ = look.tick() => if !connection.status().connected() {
                return SessionError::new(SessionErrorKind::Ended, CONNECTION);
            },
        }
    }
}
