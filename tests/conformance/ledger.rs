//! The oracle: who confirmed what, who saw what, how each message ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use residual::bus::{Bus, BusError, Consumer, Delivery, Message, Token, Verdict};
use tokio::time::timeout;
use uuid::Uuid;

use super::ctx::{publisher, within};

/// Long enough for any backend to deliver what there is.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Long enough to believe that nothing more comes.
pub(crate) const QUIET: Duration = Duration::from_millis(300);
/// A little linger, so that batches fill.
pub(crate) const LINGER: Duration = Duration::from_millis(5);

/// The `n`th message of a stream of tests.
pub(crate) fn message(n: u64) -> Message {
    let body = Bytes::from(n.to_string());
    Message::new(Uuid::from_u128(u128::from(n) + 1), "text/plain", body)
}

pub(crate) fn messages(range: std::ops::Range<u64>) -> Vec<Message> {
    range.map(message).collect()
}

pub(crate) fn ids(range: std::ops::Range<u64>) -> BTreeSet<Uuid> {
    range.map(|n| message(n).id).collect()
}

/// The number in a body.
pub(crate) fn number(delivery: &Delivery) -> u64 {
    let body = String::from_utf8(delivery.message.body.to_vec()).expect("text");
    body.parse().expect("a number")
}

/// Publishes and waits for the receipt.
pub(crate) async fn publish(bus: &Arc<dyn Bus>, topic: &str, range: std::ops::Range<u64>) {
    let mut publisher = publisher(bus, topic).await;
    let all = messages(range);
    for part in all.chunks(16) {
        let receipt = publisher.publish(part.to_vec()).await.expect("published");
        within(SOON, receipt.into_future()).await.expect("receipt");
    }
    publisher.close().await.expect("closed");
}

/// What consumers saw and did.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) seen: BTreeMap<Uuid, Vec<u32>>,
    pub(crate) order: Vec<u64>,
    pub(crate) acked: BTreeSet<Uuid>,
}

impl Ledger {
    pub(crate) fn see(&mut self, delivery: &Delivery) {
        let attempts = self.seen.entry(delivery.message.id).or_default();
        attempts.push(delivery.attempt);
    }

    pub(crate) fn ids(&self) -> BTreeSet<Uuid> {
        self.seen.keys().copied().collect()
    }

    /// Receives and acks until so many different messages were seen.
    pub(crate) async fn drain(&mut self, consumer: &mut dyn Consumer, count: usize) {
        while self.seen.len() < count {
            let seen = self.seen.len();
            let received = timeout(SOON, consumer.recv(64, LINGER)).await;
            let batch = received.unwrap_or_else(|_| panic!("{seen} of {count} arrived"));
            self.ack(consumer, batch.expect("received")).await;
        }
    }

    /// Receives and acks until nothing comes any more.
    pub(crate) async fn drain_all(&mut self, consumer: &mut dyn Consumer, quiet: Duration) {
        while let Ok(batch) = timeout(quiet, consumer.recv(64, LINGER)).await {
            self.ack(consumer, batch.expect("received")).await;
        }
    }

    pub(crate) async fn ack(&mut self, consumer: &mut dyn Consumer, batch: Vec<Delivery>) {
        let mut verdicts = Vec::new();
        for delivery in batch {
            self.see(&delivery);
            self.order.push(number(&delivery));
            self.acked.insert(delivery.message.id);
            verdicts.push((delivery.token, Verdict::Ack));
        }
        let asked = verdicts.len();
        let settled = consumer.settle(verdicts).await.expect("settled");
        assert_eq!((settled.ok, settled.stale), (asked, 0));
    }

    /// Nobody saw anything twice.
    pub(crate) fn assert_no_duplicates(&self) {
        let twice: Vec<_> = self.seen.iter().filter(|(_, a)| a.len() > 1).collect();
        assert!(twice.is_empty(), "seen twice without a fault: {twice:?}");
    }
}

/// Receives one batch.
pub(crate) async fn recv(consumer: &mut dyn Consumer, max: usize) -> Vec<Delivery> {
    let batch = within(SOON, consumer.recv(max, LINGER)).await;
    batch.expect("received")
}

/// Receives until it has so many, without settling.
pub(crate) async fn hold(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut held = Vec::new();
    while held.len() < count {
        held.extend(recv(consumer, count - held.len()).await);
    }
    held
}

/// Receives exactly one delivery.
pub(crate) async fn recv_one(consumer: &mut dyn Consumer) -> Delivery {
    let mut batch = recv(consumer, 1).await;
    assert_eq!(batch.len(), 1);
    batch.remove(0)
}

pub(crate) async fn settle_one(consumer: &mut dyn Consumer, token: Token, verdict: Verdict) {
    let settled = consumer.settle(vec![(token, verdict)]).await;
    assert_eq!(settled.expect("settled").ok, 1);
}

/// Nothing is delivered for a while.
pub(crate) async fn assert_quiet(consumer: &mut dyn Consumer, quiet: Duration) {
    if let Ok(batch) = timeout(quiet, consumer.recv(64, Duration::ZERO)).await {
        panic!("nothing was expected and this came: {batch:?}");
    }
}

/// Waits until a group's depth is as wished.
pub(crate) async fn until_depth(
    bus: &Arc<dyn Bus>,
    (topic, group): (&str, &str),
    wished: impl Fn(residual::bus::Depth) -> bool,
) {
    let mut last = Ok(residual::bus::Depth::default());
    let reached = timeout(SOON, async {
        loop {
            last = bus.depth(topic, group).await;
            if last.as_ref().is_ok_and(|depth| wished(*depth)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(reached.is_ok(), "the depth stays at {last:?}");
}

/// Whether the error says that the bus is closed.
pub(crate) fn is_closed(error: &BusError) -> bool {
    matches!(error, BusError::Closed)
}
