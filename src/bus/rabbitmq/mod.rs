//! RabbitMQ by `lapin`.
//!
//! A topic is a durable fanout exchange, a group is a durable quorum queue bound to it. Publishing waits for confirms
//! in a window and is mandatory; a message that no queue takes ends the session, which declares the topology anew and
//! sends again. Publishing and consuming have a connection each, because a broker in want of memory or disk stops
//! reading from those that publish, and acknowledgements must not stand behind them.
//!
//! Retries with a delay are held here until they are due and then rejected, which the broker counts. Attempts are the
//! broker's `x-delivery-count`; its own delivery limit is a backstop far above ours, because a crash counts for the
//! neighbours too.
//!
//! Differences that the capabilities tell: nothing is dropped for having the same id; whether a release counts
//! depends on the broker's version. When one of several groups of a topic is full, the others may see the messages
//! that wait for it more than once: a nack does not say which queue had no room, and the whole is sent again under the
//! same id. AMQP does not tell what other processes hold, so `elsewhere` is never told and `ready` is without it.
//!
//! Deliberately absent: lapin's recovery, which forgets consumers whose channel the broker closed; dead-letter
//! exchanges, because a copy that is confirmed before the ack is the same on every broker.

mod dial;
#[cfg(feature = "tls")]
mod encrypted;
mod greeting;
mod ids;
mod inlet;
mod outlet;
mod session;
mod topology;
mod wire;

use std::{
    fmt,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};

use async_trait::async_trait;
use tokio::sync::watch;

use self::dial::RabbitDial;
use super::{
    BrokerInfo, BusError, Capabilities, Config, Depth, Link, Publisher, Topology,
    backend::{Backend, Subscription},
    remote::Remote,
};

/// The largest body in bytes. Brokers take more; memory is bounded by this times the window.
const BODY_MAX: usize = 1 << 20;

/// A RabbitMQ server as a bus backend.
pub struct Rabbitmq {
    remote: Remote,
    broker: Arc<OnceLock<BrokerInfo>>,
    body_max: Arc<AtomicUsize>,
}

impl fmt::Debug for Rabbitmq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rabbitmq")
    }
}

impl Rabbitmq {
    /// Connects to `amqp://user:password@host[:port][/vhost][?heartbeat=SECONDS]`, or `amqps://…` in a build with
    /// the `tls` feature, by the files of [`Config::tls`].
    ///
    /// Returns after the first try. An absent broker is not an error: [`Backend::declare`] waits for it.
    ///
    /// # Errors
    /// [`BusError::Url`] for a URL that is not understood, [`BusError::Refused`] if the broker refuses us.
    pub async fn connect(url: &str, config: &Config) -> Result<Self, BusError> {
        let broker = Arc::new(OnceLock::new());
        let dial = RabbitDial::new(url, config, Arc::clone(&broker))?;
        let remote = Remote::start(dial, config).await?;
        let body_max = Arc::new(AtomicUsize::new(BODY_MAX));
        Ok(Self {
            remote,
            broker,
            body_max,
        })
    }

    /// Up to 4.2 every return of a message counts; since 4.3 only a rejection or a crash does.
    fn release_is_uncounted(&self) -> bool {
        let version = self.broker.get().map(|broker| broker.version.as_str());
        let mut parts = version
            .unwrap_or_default()
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (4, 3)
    }
}

#[async_trait]
impl Backend for Rabbitmq {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            outlives_process: true,
            attempts_survive_restart: true,
            uncounted_release: self.release_is_uncounted(),
            deduplicates: false,
            counts_elsewhere: false,
            body_max: BODY_MAX,
        }
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        self.remote.describe().await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.remote.link()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.remote.declare(topology).await
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        self.remote.publisher(topic, Arc::clone(&self.body_max))
    }

    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Subscription>, BusError> {
        self.remote.subscribe(topic, group, window)
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.remote.depth(topic, group).await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.remote.close().await
    }
}
