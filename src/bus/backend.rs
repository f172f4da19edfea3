//! The inner interface: what a broker must be able to do. It is public for our own tests only. `embedded` implements
//! it, and `remote` for brokers over a network; [`super::settle`] builds the rest.
//!
//! A backend knows nothing of dead letters (they are ordinary topics of the topology), of attempt limits or of records.
//! It promises: endless reconnection, after which the topology is declared and what is unconfirmed is sent again, and
//! tokens that go stale instead of settling somebody else's delivery.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    BrokerInfo, BusError, Capabilities, Delivery, Depth, Link, Publisher, Settled, Token, Topology,
};

/// A broker, seen from below.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What this backend can and cannot do; the conformance suite tests every claim.
    fn capabilities(&self) -> Capabilities;

    /// Name and version of the broker.
    async fn describe(&self) -> Result<BrokerInfo, BusError>;

    /// The state of the link to the broker.
    fn link(&self) -> watch::Receiver<Link>;

    /// Makes sure that the whole topology exists. Idempotent, safe to call from many services at once. Waits for
    /// an absent broker; a refusal or a conflict is an error at once.
    async fn declare(&self, topology: &Topology) -> Result<(), BusError>;

    /// Opens a publisher on a declared topic.
    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError>;

    /// Joins a declared group of a topic with a window of at most `window` unsettled deliveries.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Subscription>, BusError>;

    /// How much waits for a group.
    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError>;

    /// Closes the link after everything sent is flushed. Publishers and subscriptions fail with `Closed` after it.
    async fn close(&self) -> Result<(), BusError>;
}

/// What a subscription can do with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Done: never comes back.
    Ack,
    /// Comes back to the group after the delay, counted as an attempt.
    Retry(Duration),
    /// Comes back to the group at once; not counted where the broker allows it (`uncounted_release`).
    Release,
}

/// One member of a consumer group, seen from below.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for at least one delivery, then takes what is there up to `max`, waiting at most `linger` for more.
    /// Empty only after [`Subscription::stop`]. Cancel safe: a delivery is never lost when the future is dropped.
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError>;

    /// Settles deliveries in one go. A stale token is counted, never an error.
    async fn settle(
        &mut self,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError>;

    /// No new deliveries. The leases of unsettled tokens are kept, and they can still be settled.
    async fn stop(&mut self) -> Result<(), BusError>;

    /// Flushes settlements, releases at once what is still unsettled, and leaves the group.
    async fn close(self: Box<Self>) -> Result<(), BusError>;
}
