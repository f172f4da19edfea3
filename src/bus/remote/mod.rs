//! What the backends over a network share: one supervised link, windowed publishing, tokens with epochs.
//!
//! Duty: a connection is one [`Session`]. When anything about it fails the whole session is dropped; the [`link`] opens
//! the next one, with jittered backoff and for ever, and declares the topology again. A publisher sends again what was
//! not confirmed. A subscription starts a new epoch, so that tokens of the old one are stale and cannot settle somebody
//! else's delivery. RabbitMQ and NATS implement [`Dial`], [`Session`], [`Outlet`] and [`Inlet`]; the rest is written
//! once, here:
//!
//! ```text
//! RemotePublisher --channel--> PublishTask --Outlet--> broker
//! RemoteSubscription <--DeliveryQueue-- Intake <--Inlet-- broker
//!            (both tasks ask the Link for the session to work on)
//! ```
//!
//! Promise: an outage is reported once when it begins and once when it ends. What time does not heal (a wrong password,
//! a conflict) is an error and no endless retry.
//!
//! Deliberately absent: the clients' own recovery. Theirs gives up, forgets consumers or stays silent in cases that
//! the conformance suite holds.

mod backend;
mod backoff;
mod delivery_counts;
mod error;
mod headers;
mod intake;
mod link;
mod publisher;
mod queue;
mod seeds;
mod subscription;

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::{BrokerInfo, Message, Topology, backend::Disposition};

pub(in crate::bus) use backend::Remote;
pub(in crate::bus) use error::{ConnectError, PermanentError, SessionError, SessionErrorKind};
pub(in crate::bus) use headers::{pack_headers, unpack_headers};
#[cfg(feature = "nats")]
pub(in crate::bus) use publisher::HEADERS_MAX;
pub(in crate::bus) use seeds::Seeds;

/// Opens sessions with one broker: the connector of a backend.
#[async_trait]
pub(in crate::bus) trait Dial: Send + Sync + 'static {
    /// Connects and authenticates. Bounded in time by the implementation.
    async fn dial(&self) -> Result<Box<dyn Session>, ConnectError>;
}

/// One connection to the broker, from login to loss. Any error ends it; the link opens the next.
#[async_trait]
pub(in crate::bus) trait Session: Send + Sync + 'static {
    /// Resolves with the reason when the connection is lost.
    async fn lost(&self) -> SessionError;

    /// Makes sure that the topology exists.
    async fn declare(&self, topology: &Topology) -> Result<(), ConnectError>;

    /// Checks that everything declared still exists.
    async fn check_topology(&self, topology: &Topology) -> Result<(), SessionError>;

    /// Opens a sender to a topic. `routed` is whether the topic has any group.
    async fn outlet(&self, topic: &str, routed: bool) -> Result<Box<dyn Outlet>, SessionError>;

    /// Joins a group with a window.
    async fn inlet(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Inlet>, SessionError>;

    /// How much the broker has for a group.
    async fn group_stats(&self, topic: &str, group: &str) -> Result<GroupStats, SessionError>;

    /// Name and version of the broker.
    fn broker(&self) -> BrokerInfo;

    /// Flushes and closes.
    async fn close(&self);
}

/// What a broker reports about a group.
#[derive(Clone, Copy, Debug)]
pub(in crate::bus) enum GroupStats {
    /// Messages that are delivered to no consumer; those that are delivered and not settled are not reported.
    #[cfg(feature = "rabbitmq")]
    Ready(u64),
    /// Messages that are not acknowledged, in two parts.
    #[cfg(feature = "nats")]
    Unacked {
        /// Messages that were not delivered yet.
        pending: u64,
        /// Messages that were delivered and not acknowledged; some of them may wait to be delivered again.
        ack_pending: u64,
    },
}

/// Sends to one topic within one session.
#[async_trait]
pub(in crate::bus) trait Outlet: Send {
    /// Hands a message to the connection. The inner future resolves with the broker's answer.
    async fn send(&mut self, message: &Message)
    -> Result<BoxFuture<'static, Answer>, SessionError>;
}

/// The broker's answer to one published message.
#[derive(Clone, Debug)]
pub(in crate::bus) enum Answer {
    /// Stored for every group.
    Stored,
    /// No room now, by the broker's own report; ask again later.
    Full(SessionError),
    /// No answer came in time; the message may be sent again.
    #[cfg_attr(
        not(feature = "nats"),
        expect(dead_code, reason = "RabbitMQ's confirms come or the connection goes")
    )]
    TimedOut,
    /// The session is of no use any more.
    Failed(SessionError),
}

/// Receives from one group within one session, and settles what it received.
#[async_trait]
pub(in crate::bus) trait Inlet: Send {
    /// What comes next. Cancel safe.
    async fn next(&mut self) -> Result<Event, SessionError>;

    /// Grants the broker as many deliveries as the window has room for beside the `unsettled` ones, of which `delayed`
    /// wait for the time of their retry. Called whenever either changes.
    async fn update_credit(&mut self, unsettled: usize, delayed: usize)
    -> Result<(), SessionError>;

    /// Settles deliveries by their tags, which are forgotten afterwards.
    async fn settle(&mut self, dispositions: &[(u64, Disposition)]) -> Result<(), SessionError>;

    /// Whether the broker itself waits out the delay of a retry; if not, the intake keeps the tag until it is due.
    fn delays_retries(&self) -> bool;

    /// Reports to the broker that the unsettled deliveries are still being worked on.
    async fn extend_leases(&mut self) -> Result<(), SessionError>;

    /// Requests nothing more.
    async fn stop(&mut self) -> Result<(), SessionError>;

    /// Returns once every settlement has reached the broker.
    async fn flush(&mut self) -> Result<(), SessionError>;

    /// Leaves.
    async fn close(self: Box<Self>);
}

/// What comes out of an inlet.
#[derive(Debug)]
pub(in crate::bus) enum Event {
    /// A delivery came.
    Delivery(BrokerDelivery),
    /// No delivery, but the broker may need new credit: [`Inlet::update_credit`] is to be called.
    Wake,
    /// After [`Inlet::stop`]: nothing more can come.
    End,
}

/// A delivery as the broker gave it.
#[derive(Debug)]
pub(in crate::bus) struct BrokerDelivery {
    /// Unique within the inlet.
    pub(in crate::bus) tag: u64,
    /// What was published.
    pub(in crate::bus) message: Message,
    /// 1 for the first try.
    pub(in crate::bus) attempt: u32,
}

/// How long a single exchange with the broker may take before the session counts as lost.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first two numbers of a broker's version, where they are numbers.
pub(in crate::bus) fn major_minor(version: &str) -> [Option<u32>; 2] {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    [parts.next().flatten(), parts.next().flatten()]
}

/// Bounds one exchange in time; a failure ends the session.
pub(in crate::bus) async fn within<T, E: StdError + Send + Sync + 'static>(
    operation: impl Into<Cow<'static, str>>,
    exchange: impl Future<Output = Result<T, E>>,
) -> Result<T, SessionError> {
    let operation = operation.into();
    let answer = answered(operation.clone(), exchange).await?;
    answer.map_err(|error| SessionError::failed(operation, error))
}

/// Bounds one exchange in time, and leaves the answer, even a refusal, to the caller.
pub(in crate::bus) async fn answered<T>(
    operation: impl Into<Cow<'static, str>>,
    exchange: impl Future<Output = T>,
) -> Result<T, SessionError> {
    let answer = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await;
    answer.map_err(|_| {
        let kind = SessionErrorKind::TimedOut(EXCHANGE_TIMEOUT);
        SessionError::new(kind, operation)
    })
}

/// Waits until that time; for ever if there is none.
pub(in crate::bus) async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
