//! The bus: how services exchange messages without knowing which broker carries them.
//!
//! # Promises
//! Every backend keeps all of them; one conformance suite (`tests/conformance`) tests each promise on each backend.
//! 1. **Receipts.** A [`Receipt`] that resolves to `Ok` means: stored for every declared group, and, where
//!    [`Capabilities::durable`] is true, still there after `kill -9` of the broker.
//! 2. **At least once.** An unsettled delivery comes back when its consumer dies. Attempts are counted.
//! 3. **Verdicts.** [`Verdict::Ack`], [`Verdict::Retry`], [`Verdict::Dead`], [`Verdict::Release`]. `Dead` is a
//!    confirmed copy in `topic.group.dead`, then an ack: never neither. `Release` is for shutdown and is not a failure.
//! 4. **Groups.** Consumers of one group share its messages; each group gets everything.
//! 5. **Back-pressure.** Windows bound what is unconfirmed and what is unsettled; memory stays flat.
//! 6. **Declare first.** Every service declares the whole [`Topology`] before it publishes or consumes, so start
//!    order never loses a message. A conflict is an error, never repaired by deletion.
//! 7. **Outages.** The bus outlives its broker: endless jittered backoff, the topology is declared again, unconfirmed
//!    messages are sent again. Services only see a pause.
//! 8. **Stop.** A service stops its intake, finishes, awaits receipts, settles, releases the rest at once and closes.
//!    After such a stop nothing that was settled is delivered again.
//!
//! # Poison
//! A delivery that came back (attempt > 1) is handed out alone, so that a message that kills its consumer cannot be
//! confused with its neighbours; past [`Config::attempts_max`] it is dead-lettered without being handed out. Both are
//! done in [`settle`], once for all backends.
//!
//! Deliberately absent: ordering across consumers or after a retry, transactions over topics, exactly-once
//! delivery (the metric log is exactly-once by its ledger), deletion of anything on a broker that is not done with.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

#[doc(hidden)]
pub mod backend;
#[cfg(feature = "testing")]
pub mod chaos;
mod connect;
#[doc(hidden)]
pub mod embedded;
mod error;
mod ids;
#[cfg(feature = "nats")]
mod nats;
mod observed;
mod password;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod receipt;
mod redact;
#[cfg(any(feature = "rabbitmq", feature = "nats"))]
mod remote;
#[doc(hidden)]
pub mod settle;
mod tls;
pub mod topology;

pub use connect::{connect, random_seed};
pub use error::{BusError, Cause};
pub use receipt::{Receipt, Receipts, Unconfirmed};
pub use redact::redact;
pub use tls::TlsConfig;
pub use topology::{Topic, Topology};

/// A bus to some broker. Cheap to share as `Arc<dyn Bus>`; the cost of `dyn` is paid once a batch.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// What this bus can and cannot do.
    fn capabilities(&self) -> Capabilities;

    /// Name and version of the broker.
    async fn describe(&self) -> Result<BrokerInfo, BusError>;

    /// The state of the link to the broker, for health pages and for reporting each outage once.
    fn link(&self) -> watch::Receiver<Link>;

    /// Makes sure that the whole topology exists; idempotent. Waits for an absent broker.
    async fn declare(&self, topology: &Topology) -> Result<(), BusError>;

    /// Opens a publisher on a declared topic.
    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError>;

    /// Joins a declared group with a window of at most `window` (>= 1) unsettled deliveries.
    async fn consumer(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Consumer>, BusError>;

    /// How much waits for a group, and how many of its letters are dead.
    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError>;

    /// Sends the dead letters of a group back to that group, each under a new message id; returns how many.
    async fn redrive(&self, topic: &str, group: &str) -> Result<u64, BusError>;

    /// Closes the link after everything sent is flushed.
    async fn close(&self) -> Result<(), BusError>;
}

/// Publishes to one topic. One task owns it; clones of the same publisher do not exist, so confirms cannot cross.
#[async_trait]
pub trait Publisher: Send {
    /// Sends messages in order, waiting for room in the window first: that is the back-pressure.
    ///
    /// An error means that nothing of the batch was sent.
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Receipt, BusError>;

    /// Waits until every receipt has resolved; an error means that not all of them with `Ok`. With nothing unconfirmed
    /// it returns at once, also while the broker is away and when the bus is closed.
    async fn close(self: Box<Self>) -> Result<(), BusError>;
}

/// One member of a consumer group.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one delivery, then takes what is there up to `max`, waiting at most `linger` for more.
    ///
    /// Empty only after [`Consumer::stop`]. A batch larger than the window is never waited for. Cancel safe.
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError>;

    /// Settles deliveries in one go, in any order. A stale token (its lease ran out, its link died) is counted.
    async fn settle(&mut self, verdicts: Vec<(Token, Verdict)>) -> Result<Settled, BusError>;

    /// Copies parts of deliveries (single bad records of a frame) to the group's dead letters; returns once they
    /// are confirmed. The deliveries themselves are settled as usual afterwards.
    async fn dead_letter(&mut self, letters: Vec<DeadLetter>) -> Result<(), BusError>;

    /// No new deliveries. What was handed out can still be settled, and its leases are kept.
    async fn stop(&mut self) -> Result<(), BusError>;

    /// Flushes settlements, releases at once what is still unsettled, and leaves the group.
    async fn close(self: Box<Self>) -> Result<(), BusError>;
}

/// What a publisher sends: opaque bytes with an id, a media type and a few headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same id means the same message, sent again; brokers that can, drop the second.
    pub id: Uuid,
    /// Media type of the body; empty when the sender gave none.
    pub content_type: String,
    /// A few short headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The payload.
    pub body: Bytes,
}

impl Message {
    /// A message without headers.
    #[must_use]
    pub fn new(id: Uuid, content_type: impl Into<String>, body: Bytes) -> Self {
        Self {
            id,
            content_type: content_type.into(),
            headers: BTreeMap::new(),
            body,
        }
    }
}

/// A message that a consumer has until it settles the token.
#[derive(Debug)]
pub struct Delivery {
    /// What was published.
    pub message: Message,
    /// 1 for the first try; counts every counted redelivery.
    pub attempt: u32,
    /// Settles this delivery; settling twice does not compile.
    pub token: Token,
}

/// The right to settle one delivery. Neither `Clone` nor `Copy`: it is given back by [`Consumer::settle`].
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// Which epoch of the subscription it belongs to; a reconnect begins a new one.
    pub(in crate::bus) epoch: u64,
    /// Which delivery within that epoch.
    pub(in crate::bus) tag: u64,
}

/// What a consumer decides about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done: it never comes back.
    Ack,
    /// Comes back after the delay, counted as an attempt, to any member of the group.
    Retry(Duration),
    /// Goes to the dead letters with this reason.
    Dead(String),
    /// Comes back at once; for shutdown, never counted as a failure where the broker allows it.
    Release,
}

/// A message for the dead letters of a group.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// What could not be used.
    pub message: Message,
    /// Why.
    pub reason: String,
    /// How many times it had been tried.
    pub attempts: u32,
}

/// How many tokens a settle call could use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Settled as asked.
    pub ok: usize,
    /// Too late: the delivery is already back with the group.
    pub stale: usize,
}

/// How much waits for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Messages ready to be delivered (delayed ones included), and what [`Depth::elsewhere`] counts.
    pub ready: u64,
    /// Messages delivered to this process and not settled.
    pub in_flight: u64,
    /// Messages that were delivered and not settled, but not by this process: other processes work on them, or they
    /// wait to be delivered again. `None` where the broker does not report it; what others work on is then counted
    /// nowhere.
    pub elsewhere: Option<u64>,
    /// Dead letters of the group.
    pub dead: u64,
}

impl Depth {
    /// Messages that no consumer has, as far as the broker reports.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.ready.saturating_sub(self.elsewhere.unwrap_or(0))
    }

    /// Messages that were delivered to any consumer and not settled, as far as the broker reports.
    #[must_use]
    pub fn in_work(&self) -> u64 {
        self.in_flight.saturating_add(self.elsewhere.unwrap_or(0))
    }
}

/// What a backend can and cannot do. Each claim is tested: where one is false, the test checks the opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent claim, tested alone"
)]
pub struct Capabilities {
    /// Confirmed messages survive `kill -9` of the broker process.
    pub durable: bool,
    /// The broker itself outlives this process.
    pub outlives_process: bool,
    /// The attempt counter survives a restart of the broker.
    pub attempts_survive_restart: bool,
    /// [`Verdict::Release`] does not raise the attempt counter.
    pub uncounted_release: bool,
    /// A second publish of the same message id within a short time is dropped by the broker.
    pub deduplicates: bool,
    /// [`Depth::elsewhere`] is reported.
    pub counts_elsewhere: bool,
    /// The largest body in bytes.
    pub body_max: usize,
}

/// Name and version of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerInfo {
    /// Such as `RabbitMQ`.
    pub name: String,
    /// As the broker gives it.
    pub version: String,
}

/// The state of the link to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Usable.
    Up,
    /// Not usable; the backend keeps trying.
    Down {
        /// What the last try failed with.
        reason: String,
        /// How many tries have failed in a row.
        tries: u32,
    },
}

/// Most deliveries of a message that can be asked for: RabbitMQ itself drops what it delivered 50 times, whoever asked.
pub const ATTEMPTS_MAX: u32 = 40;

/// Settings of the bus, the same for every backend. `Debug` shows the URL without its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `embedded:` (in memory), `embedded:PATH` (durable), `amqp://user:password@host:5672/vhost`, `nats://host:4222`;
    /// encrypted: `amqps://…`, `tls://…`.
    pub url: String,
    /// A file that holds the password (or the token, for a NATS URL without a user), for secrets that are mounted.
    pub password_file: Option<PathBuf>,
    /// Prefix of every name on the broker, so that several pipelines can share one; empty for none.
    pub prefix: String,
    /// Deliveries of the same message before it is dead-lettered; at most [`ATTEMPTS_MAX`].
    pub attempts_max: u32,
    /// How long a consumer may be silent about a delivery before it comes back, in milliseconds. Leases of a living
    /// consumer are renewed for it.
    pub lease_ms: u64,
    /// Messages that a publisher may have unconfirmed.
    pub publish_window: usize,
    /// Messages that a consumer may hold unsettled.
    pub consume_window: usize,
    /// Bytes that may wait in a topic before publishers wait.
    pub topic_bytes_max: u64,
    /// The same for the topics of the embedded bus, which lie in this process's memory; dead letters may take
    /// `topic_bytes_max`.
    pub embedded_bytes_max: u64,
    /// Ceiling of the jittered wait between reconnection tries, in milliseconds.
    pub backoff_max_ms: u64,
    /// Files for `amqps://` and `tls://`.
    pub tls: TlsConfig,
}

impl Config {
    /// Bytes that may wait in a topic of the pipeline before publishers wait.
    #[must_use]
    pub fn waiting_bytes_max(&self) -> u64 {
        if self.url.starts_with("embedded:") {
            self.embedded_bytes_max.min(self.topic_bytes_max)
        } else {
            self.topic_bytes_max
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            password_file: None,
            prefix: String::new(),
            attempts_max: 5,
            lease_ms: 10_000,
            publish_window: 512,
            consume_window: 256,
            topic_bytes_max: 64 << 20,
            embedded_bytes_max: 1 << 20,
            backoff_max_ms: 5_000,
            tls: TlsConfig::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            password_file,
            prefix,
            attempts_max,
            lease_ms,
            publish_window,
            consume_window,
            topic_bytes_max,
            embedded_bytes_max,
            backoff_max_ms,
            tls,
        } = self;
        f.debug_struct("Config")
            .field("url", &redact(url))
            .field("password_file", password_file)
            .field("prefix", prefix)
            .field("attempts_max", attempts_max)
            .field("lease_ms", lease_ms)
            .field("publish_window", publish_window)
            .field("consume_window", consume_window)
            .field("topic_bytes_max", topic_bytes_max)
            .field("embedded_bytes_max", embedded_bytes_max)
            .field("backoff_max_ms", backoff_max_ms)
            .field("tls", tls)
            .finish()
    }
}
