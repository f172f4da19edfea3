//! A backend over a supervised link. RabbitMQ and NATS are this with a [`Dial`] of their own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Dial, GroupStats, backoff::Backoff, delivery_counts::DeliveryCountsByGroup, intake::Membership,
    link::Link, publisher::RemotePublisher, seeds::Seeds, subscription::RemoteSubscription, within,
};
use crate::bus::{
    BrokerInfo, BusError, Capabilities, Config, Depth, Link as LinkState, Publisher, Topology,
    backend::{Backend, Subscription},
};

/// First wait between tries to connect.
const RECONNECT_WAIT: Duration = Duration::from_millis(100);

/// First and last wait before asking a full topic again.
const FULL_WAIT: Duration = Duration::from_millis(50);
const FULL_WAIT_MAX: Duration = Duration::from_secs(1);

/// A broker behind a link, as a backend.
pub(in crate::bus) struct Remote {
    name: &'static str,
    capabilities: Box<dyn Fn() -> Capabilities + Send + Sync>,
    /// The largest body in bytes, which the broker may report differently with each session.
    body_max: Arc<AtomicUsize>,
    link: Link,
    publish_window: usize,
    lease: Duration,
    seeds: Arc<Seeds>,
    delivery_counts: DeliveryCountsByGroup,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Remote {
    /// Starts the link; returns after its first try. `capabilities` is called each time, as the broker's version may
    /// decide; `body_max` replaces theirs.
    pub(in crate::bus) async fn start(
        name: &'static str,
        dial: impl Dial,
        config: &Config,
        body_max: Arc<AtomicUsize>,
        seeds: Arc<Seeds>,
        capabilities: impl Fn() -> Capabilities + Send + Sync + 'static,
    ) -> Result<Self, BusError> {
        let ceiling = Duration::from_millis(config.backoff_max_ms.max(1));
        let link = Link::start(dial, Backoff::new(RECONNECT_WAIT, ceiling, seeds.next())).await?;
        Ok(Self {
            name,
            capabilities: Box::new(capabilities),
            body_max,
            link,
            publish_window: config.publish_window,
            lease: Duration::from_millis(config.lease_ms.max(3)),
            seeds,
            delivery_counts: DeliveryCountsByGroup::default(),
        })
    }

    /// Joins what the broker reports with what only this process knows: what it has received and not handed out yet
    /// waits as well (`ready`), and only what its consumers work on is in flight.
    fn depth_of(&self, group_stats: GroupStats, topic: &str, group: &str) -> Depth {
        let (unsettled, handed_out) = self.delivery_counts.of(topic, group).read();
        match group_stats {
            #[cfg(feature = "rabbitmq")]
            GroupStats::Ready(ready) => Depth {
                ready: ready + unsettled - handed_out,
                in_flight: handed_out,
                ..Depth::default()
            },
            #[cfg(feature = "nats")]
            GroupStats::Unacked {
                pending,
                ack_pending,
            } => {
                let in_flight = handed_out.min(pending + ack_pending);
                Depth {
                    ready: pending + ack_pending - in_flight,
                    in_flight,
                    elsewhere: Some(ack_pending.saturating_sub(unsettled)),
                    dead: 0,
                }
            }
        }
    }

    fn require(&self, topic: &str, group: &str) -> Result<(), BusError> {
        if self.link.topology().has_group(topic, group) {
            Ok(())
        } else {
            Err(undeclared(&format!("{topic}.{group}")))
        }
    }
}

#[async_trait]
impl Backend for Remote {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            body_max: self.body_max.load(Ordering::Relaxed),
            ..(self.capabilities)()
        }
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        Ok(self.link.session_after(0).await?.session.broker())
    }

    fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.link.declare(topology).await
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        if self.link.is_closed() {
            return Err(BusError::Closed);
        }
        let topology = self.link.topology();
        let declared = topology.topic(topic).ok_or_else(|| undeclared(topic))?;
        let routed = !declared.groups.is_empty();
        let backoff = Backoff::new(FULL_WAIT, FULL_WAIT_MAX, self.seeds.next());
        let link = self.link.clone();
        Ok(Box::new(RemotePublisher::open(
            link,
            topic,
            routed,
            self.publish_window,
            Arc::clone(&self.body_max),
            backoff,
        )))
    }

    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Subscription>, BusError> {
        if self.link.is_closed() {
            return Err(BusError::Closed);
        }
        self.require(topic, group)?;
        let membership = Membership {
            topic: topic.to_owned(),
            group: group.to_owned(),
            window: window.max(1),
            lease: self.lease,
        };
        let counts = self.delivery_counts.of(topic, group);
        let link = self.link.clone();
        Ok(Box::new(RemoteSubscription::open(link, membership, counts)))
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.require(topic, group)?;
        let mut epoch = 0;
        loop {
            let session = self.link.session_after(epoch).await?;
            match within("the depth query", session.session.group_stats(topic, group)).await {
                Ok(group_stats) => return Ok(self.depth_of(group_stats, topic, group)),
                Err(error) => session.end(error),
            }
            epoch = session.epoch;
        }
    }

    async fn close(&self) -> Result<(), BusError> {
        self.link.close().await;
        Ok(())
    }
}

fn undeclared(name: &str) -> BusError {
    BusError::Undeclared {
        name: name.to_owned(),
    }
}
