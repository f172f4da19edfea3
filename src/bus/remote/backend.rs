//! A backend over a supervised link; RabbitMQ and NATS are this with their own dial.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Dial, Stock,
    backoff::{Backoff, process_seed},
    gauge::Gauges,
    intake::Membership,
    link::Link,
    publisher::RemotePublisher,
    subscription::RemoteSubscription,
    within,
};
use crate::bus::{
    BrokerInfo, BusError, Config, Depth, Link as LinkState, Publisher, Topology,
    backend::Subscription,
};

/// First wait between tries to connect.
const RECONNECT_WAIT: Duration = Duration::from_millis(100);

/// First and last wait before asking a full topic again.
const FULL_WAIT: Duration = Duration::from_millis(50);
const FULL_WAIT_MAX: Duration = Duration::from_secs(1);

/// The part of a backend that does not depend on the broker.
pub(in crate::bus) struct Remote {
    link: Link,
    publish_window: usize,
    lease: Duration,
    seed: AtomicU64,
    gauges: Gauges,
}

impl Remote {
    /// Starts the link; returns after its first try.
    pub(in crate::bus) async fn start(dial: impl Dial, config: &Config) -> Result<Self, BusError> {
        let seed = process_seed();
        let ceiling = Duration::from_millis(config.backoff_max_ms.max(1));
        let link = Link::start(dial, Backoff::new(RECONNECT_WAIT, ceiling, seed)).await?;
        Ok(Self {
            link,
            publish_window: config.publish_window,
            lease: Duration::from_millis(config.lease_ms.max(3)),
            seed: AtomicU64::new(seed),
            gauges: Gauges::default(),
        })
    }

    pub(in crate::bus) fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    pub(in crate::bus) async fn describe(&self) -> Result<BrokerInfo, BusError> {
        Ok(self.link.life_after(0).await?.session.broker())
    }

    pub(in crate::bus) async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.link.declare(topology).await
    }

    pub(in crate::bus) fn publisher(
        &self,
        topic: &str,
        body_max: Arc<AtomicUsize>,
    ) -> Result<Box<dyn Publisher>, BusError> {
        if self.link.is_closed() {
            return Err(BusError::Closed);
        }
        let topology = self.link.topology();
        let declared = topology.topic(topic).ok_or_else(|| undeclared(topic))?;
        let routed = !declared.groups.is_empty();
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let backoff = Backoff::new(FULL_WAIT, FULL_WAIT_MAX, seed);
        let link = self.link.clone();
        Ok(Box::new(RemotePublisher::open(
            link,
            topic,
            routed,
            self.publish_window,
            body_max,
            backoff,
        )))
    }

    pub(in crate::bus) fn subscribe(
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
        let gauge = self.gauges.of(topic, group);
        let link = self.link.clone();
        Ok(Box::new(RemoteSubscription::open(link, membership, gauge)))
    }

    pub(in crate::bus) async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.require(topic, group)?;
        let mut epoch = 0;
        loop {
            let life = self.link.life_after(epoch).await?;
            match within("depth", life.session.stock(topic, group)).await {
                Ok(stock) => return Ok(self.depth_of(stock, topic, group)),
                Err(reason) => life.end(&reason),
            }
            epoch = life.epoch;
        }
    }

    /// In flight is what consumers of this process have in hand; what is taken in and not handed out is ready.
    fn depth_of(&self, stock: Stock, topic: &str, group: &str) -> Depth {
        let (held, out) = self.gauges.of(topic, group).read();
        match stock {
            #[cfg(feature = "rabbitmq")]
            Stock::Ready(ready) => Depth {
                ready: ready + held - out,
                in_flight: out,
                ..Depth::default()
            },
            #[cfg(feature = "nats")]
            Stock::Unacked { fresh, delivered } => {
                let in_flight = out.min(fresh + delivered);
                Depth {
                    ready: fresh + delivered - in_flight,
                    in_flight,
                    elsewhere: Some(delivered.saturating_sub(held)),
                    dead: 0,
                }
            }
        }
    }

    pub(in crate::bus) async fn close(&self) -> Result<(), BusError> {
        self.link.close().await;
        Ok(())
    }

    fn require(&self, topic: &str, group: &str) -> Result<(), BusError> {
        if self.link.topology().has_group(topic, group) {
            Ok(())
        } else {
            Err(undeclared(&format!("{topic}.{group}")))
        }
    }
}

fn undeclared(name: &str) -> BusError {
    BusError::Undeclared {
        name: name.to_owned(),
    }
}
