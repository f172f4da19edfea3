//! Pulls from a durable consumer, with credit that is counted here.
//!
//! What was requested and has not come, plus what is unsettled, never exceeds the window. A pull expires after half a
//! second, which the broker reports by a status: that is the sign that the broker still answers, and after a stop the
//! status of the last pull shows that nothing more is on its way.
//!
//! # Two pulls at a time
//! Server 2.9.10 loses sight of a redelivery that coincides with the end of the only open pull: the message comes back
//! when its lease runs out, and not before. So there are two open pulls of half a window each, whose ends lie apart.
//!
//! # Giving back after a stop
//! A message that is given back while a pull of ours is still open would be delivered to that very pull. So it is given
//! back a moment after our last pull has ended (`deferred`). The moment is there because members that began together
//! have pulls that end together.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write, time::Duration};

use async_nats::{Client, StatusCode, Subject, Subscriber, header::HeaderMap};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, sleep_until};

use super::{
    error::{ends_the_consumer, pull_error},
    sweeper::Sweeper,
    wire::{self, AckSubject},
};
use crate::bus::{
    backend::Disposition,
    remote::{
        BrokerDelivery, Event, Inlet, SessionError, SessionErrorKind, sleep_until_some, within,
    },
};

/// How long the broker keeps a pull that it cannot fill.
const PULL_EXPIRES: Duration = Duration::from_millis(500);

/// A pull that would end this close to the end of another one is made half as long.
const PULL_ENDS_APART: Duration = Duration::from_millis(150);

/// How long past its end a pull may stay unanswered before the session counts as lost.
const PULL_GRACE: Duration = Duration::from_secs(5);

/// Pulls whose size is remembered, in case the broker rejects them. It does so at once, so few are enough.
const OPEN_PULLS_MAX: usize = 64;

/// Wait from the end of the last pull until what is given back is sent.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(100);

/// Wait after the broker rejected a pull.
const REJECTED_WAIT: Duration = Duration::from_millis(250);

/// See [`Inlet`].
pub(super) struct NatsInlet {
    client: Client,
    subscriber: Subscriber,
    inbox: String,
    next_subject: String,
    info_subject: String,
    window: usize,
    /// Messages that the broker may still send. They are counted over all pulls, as the versions of the server differ
    /// in which pull they fill first.
    requested: usize,
    pulls: BTreeMap<u64, Pull>,
    /// When the last request was answered.
    pulls_ended: Instant,
    next_pull: u64,
    pull_not_before: Option<Instant>,
    next_tag: u64,
    /// Where each unsettled delivery is acknowledged, and its place in the stream.
    replies: BTreeMap<u64, (Subject, u64)>,
    /// Given back after a stop, to be sent when no pull is open any more.
    deferred: Vec<(Subject, Bytes)>,
    sweeper: Sweeper,
    stopped: bool,
}

#[derive(Debug)]
struct Pull {
    batch: usize,
    expires: Instant,
}

impl NatsInlet {
    pub(super) async fn open(
        client: Client,
        stream: &str,
        consumer: &str,
        window: usize,
        sweeper: Sweeper,
    ) -> Result<Self, SessionError> {
        let inbox = client.new_inbox();
        let subscriber = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| SessionError::failed("the subscription", error))?;
        Ok(Self {
            client,
            subscriber,
            inbox,
            next_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            info_subject: format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"),
            window,
            requested: 0,
            pulls: BTreeMap::new(),
            pulls_ended: Instant::now(),
            next_pull: 0,
            pull_not_before: None,
            next_tag: 0,
            replies: BTreeMap::new(),
            deferred: Vec::new(),
            sweeper,
            stopped: false,
        })
    }

    async fn pull(&mut self, batch: usize) -> Result<(), SessionError> {
        self.next_pull += 1;
        let number = self.next_pull;
        let now = Instant::now();
        let lifetime = lifetime(now, self.last_end());
        let expires = now + lifetime;
        self.requested += batch;
        self.pulls.insert(number, Pull { batch, expires });
        if self.pulls.len() > OPEN_PULLS_MAX {
            self.pulls.pop_first();
        }
        let request = format!(r#"{{"batch":{batch},"expires":{}}}"#, lifetime.as_nanos());
        let reply = format!("{}.{number}", self.inbox);
        let sent =
            self.client
                .publish_with_reply(self.next_subject.clone(), reply, Bytes::from(request));
        sent.await
            .map_err(|error| SessionError::failed("the pull", error))
    }

    /// So many of the requested messages have come, or will not come any more.
    fn count_answered(&mut self, count: usize) {
        self.requested = self.requested.saturating_sub(count);
        if self.requested == 0 {
            self.pulls.clear();
            self.pulls_ended = Instant::now();
        }
    }

    fn receive(&mut self, message: async_nats::Message) -> Result<Event, SessionError> {
        self.count_answered(1);
        let reply = message
            .reply
            .clone()
            .ok_or_else(|| malformed("a delivery without an ack subject"))?;
        let ack_subject =
            AckSubject::parse(&reply).ok_or_else(|| malformed(format!("ack subject `{reply}`")))?;
        let (attempt, sequence) = (ack_subject.delivered, ack_subject.sequence);
        let message = wire::from_nats(message, &ack_subject);
        self.next_tag += 1;
        let tag = self.next_tag;
        self.replies.insert(tag, (reply, sequence));
        Ok(Event::Delivery(BrokerDelivery {
            tag,
            message,
            attempt,
        }))
    }

    fn receive_status(
        &mut self,
        status: StatusCode,
        message: &async_nats::Message,
    ) -> Result<Event, SessionError> {
        let number = message
            .subject
            .rsplit('.')
            .next()
            .and_then(|number| number.parse::<u64>().ok());
        let description = message.description.as_deref().unwrap_or_default();
        match status.as_u16() {
            100 => return Ok(Event::Wake),
            404 | 408 => {}
            409 if !ends_the_consumer(description) => {
                self.pull_not_before = Some(Instant::now() + REJECTED_WAIT);
            }
            _ => return Err(pull_error(status, description)),
        }
        if let Some(number) = number {
            let whole = self.pulls.remove(&number).map_or(0, |pull| pull.batch);
            self.count_answered(pending(message.headers.as_ref()).unwrap_or(whole));
        }
        Ok(Event::Wake)
    }

    async fn send_deferred(&mut self) -> Result<(), SessionError> {
        if !self.deferred.is_empty() {
            sleep_until(self.pulls_ended + GIVE_BACK_WAIT).await;
        }
        // If this is dropped half-way one of them is sent twice, which does no harm.
        while let Some((reply, payload)) = self.deferred.last().cloned() {
            let sent = self.client.publish(reply, payload).await;
            sent.map_err(|error| SessionError::failed("the settlement", error))?;
            self.deferred.pop();
        }
        Ok(())
    }

    fn last_end(&self) -> Option<Instant> {
        self.pulls.values().map(|pull| pull.expires).max()
    }
}

#[async_trait]
impl Inlet for NatsInlet {
    async fn next(&mut self) -> Result<Event, SessionError> {
        if self.stopped && self.requested == 0 {
            self.send_deferred().await?;
            return Ok(Event::End);
        }
        let pull_not_before = self.pull_not_before;
        let watchdog = self.last_end().map(|end| end + PULL_GRACE);
        tokio::select! {
            message = self.subscriber.next() => {
                let message = message
                    .ok_or_else(|| SessionError::new(SessionErrorKind::Lost, "the subscription"))?;
                match message.status {
                    Some(status) if status != StatusCode::OK => self.receive_status(status, &message),
                    _ => self.receive(message),
                }
            }
            () = sleep_until_some(pull_not_before) => {
                self.pull_not_before = None;
                Ok(Event::Wake)
            }
            () = sleep_until_some(watchdog) => {
                let kind = SessionErrorKind::TimedOut(PULL_GRACE);
                Err(SessionError::new(kind, "the pull"))
            }
        }
    }

    async fn update_credit(
        &mut self,
        unsettled: usize,
        _delayed: usize,
    ) -> Result<(), SessionError> {
        if self.stopped || self.pull_not_before.is_some() {
            return Ok(());
        }
        let half = self.window.div_ceil(2);
        loop {
            let room = self.window.saturating_sub(unsettled + self.requested);
            if room == 0 || self.requested > 0 && room < self.window / 2 {
                return Ok(());
            }
            self.pull(room.min(half)).await?;
        }
    }

    async fn settle(&mut self, dispositions: &[(u64, Disposition)]) -> Result<(), SessionError> {
        if dispositions.is_empty() {
            return Ok(());
        }
        let mut acknowledged = Vec::new();
        let gives_back = dispositions.iter().any(|(_, how)| *how != Disposition::Ack);
        if gives_back && self.stopped && self.requested == 0 {
            sleep_until(self.pulls_ended + GIVE_BACK_WAIT).await;
        }
        for (tag, disposition) in dispositions {
            let Some((reply, sequence)) = self.replies.remove(tag) else {
                continue;
            };
            if *disposition == Disposition::Ack {
                acknowledged.push(sequence);
            }
            if *disposition != Disposition::Ack && self.stopped && self.requested > 0 {
                self.deferred.push((reply, payload(disposition)));
                continue;
            }
            let sent = self.client.publish(reply, payload(disposition)).await;
            sent.map_err(|error| SessionError::failed("the settlement", error))?;
        }
        self.sweeper.record(acknowledged.into_iter());
        within("the settlement", self.client.flush()).await
    }

    fn delays_retries(&self) -> bool {
        true
    }

    async fn extend_leases(&mut self) -> Result<(), SessionError> {
        for (reply, _) in self.replies.values() {
            let sent = self
                .client
                .publish(reply.clone(), Bytes::from_static(b"+WPI"))
                .await;
            sent.map_err(|error| SessionError::failed("the renewal of a lease", error))?;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), SessionError> {
        self.stopped = true;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SessionError> {
        // The server reads in order, so its answer proves that it has read every acknowledgement sent before.
        let count_answered = self.client.request(self.info_subject.clone(), Bytes::new());
        count_answered
            .await
            .map_err(|error| SessionError::failed("the flush of acknowledgements", error))?;
        self.sweeper.sweep().await;
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        // A lost connection has no subscriptions.
        drop(self.subscriber.unsubscribe().await);
    }
}

fn malformed(what: impl Into<Cow<'static, str>>) -> SessionError {
    SessionError::new(SessionErrorKind::Malformed, what)
}

/// The lifetime of a pull that begins now, given the end of the last of the others.
fn lifetime(now: Instant, other_end: Option<Instant>) -> Duration {
    match other_end {
        Some(end) if end + PULL_ENDS_APART > now + PULL_EXPIRES => PULL_EXPIRES / 2,
        Some(_) | None => PULL_EXPIRES,
    }
}

fn payload(disposition: &Disposition) -> Bytes {
    match disposition {
        Disposition::Ack => Bytes::from_static(b"+ACK"),
        Disposition::Release => Bytes::from_static(b"-NAK"),
        Disposition::Retry(delay) if delay.is_zero() => Bytes::from_static(b"-NAK"),
        Disposition::Retry(delay) => {
            let mut payload = "-NAK ".to_owned();
            // Writing to a string does not fail.
            write!(payload, r#"{{"delay":{}}}"#, delay.as_nanos()).ok();
            Bytes::from(payload)
        }
    }
}

fn pending(headers: Option<&HeaderMap>) -> Option<usize> {
    headers?.get("Nats-Pending-Messages")?.as_str().parse().ok()
}
