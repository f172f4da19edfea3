//! NATS JetStream by `async-nats`.
//!
//! A topic is a stream (interest retention, file storage, discard new, bounded bytes), a group is a durable pull
//! consumer on it, declared before anybody publishes: an interest stream without consumers confirms and drops.
//! Publishing waits for the stream's own answer and sends the same `Nats-Msg-Id` again if none comes. Pulls are
//! counted by us, so that what is asked for and what is held never exceed the window together.
//!
//! Differences that the capabilities tell: every redelivery counts as an attempt, a release too; after a restart of the
//! server what is stored is delivered again, counted from one, as a killed server forgets what was held. A copy of a
//! message id within two minutes is dropped by the broker. JetStream counts what was delivered and not acknowledged, and
//! does not tell what somebody holds from what waits to be given again: both are `elsewhere` if this process does not
//! hold them.
//!
//! Deliberately absent: the client's own recovery and its pull stream; work-queue retention, which after a `kill -9`
//! keeps acknowledged messages for ever; `max_deliver`, which at its end drops silently.

mod dial;
mod inlet;
mod names;
mod session;
mod topology;
mod wire;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};

use async_trait::async_trait;
use tokio::sync::watch;

use self::dial::NatsDial;
use super::{
    BrokerInfo, BusError, Capabilities, Config, Depth, Link, Publisher, Topology,
    backend::{Backend, Subscription},
    remote::Remote,
};

/// The largest body in bytes; the server's own limit is 1 MiB by default, headers included.
const BODY_MAX: usize = 512 << 10;

/// A NATS server with JetStream as a bus backend.
pub struct Nats {
    remote: Remote,
    body_max: Arc<AtomicUsize>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nats")
    }
}

impl Nats {
    /// Connects to `nats://[user:password@|token@]host[:port][,…][?creds=FILE|nkey=FILE]`, or `tls://…` by the
    /// files of [`Config::tls`].
    ///
    /// Returns after the first try. An absent broker is not an error: [`Backend::declare`] waits for it.
    ///
    /// # Errors
    /// [`BusError::Url`] for a URL that is not understood, [`BusError::Refused`] if the server refuses us.
    pub async fn connect(url: &str, config: &Config) -> Result<Self, BusError> {
        let body_max = Arc::new(AtomicUsize::new(BODY_MAX));
        let dial = NatsDial::new(url, config, Arc::clone(&body_max)).await?;
        let remote = Remote::start(dial, config).await?;
        Ok(Self { remote, body_max })
    }
}

#[async_trait]
impl Backend for Nats {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            outlives_process: true,
            attempts_survive_restart: false,
            uncounted_release: false,
            deduplicates: true,
            counts_elsewhere: true,
            body_max: self.body_max.load(std::sync::atomic::Ordering::Relaxed),
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
