//! Laws of publishing: what a receipt means, and how publishers are held back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use residual::bus::{Bus, BusError, Message, Verdict};
use tokio::time::timeout;

use super::{
    ctx::{Ctx, G, SMALL, SMALL_BYTES, SOLO, consumer, publisher, within},
    ledger::{Ledger, QUIET, SOON, hold, ids, message, messages, publish, recv_one, settle_one},
};

pub(crate) async fn a_dropped_receipt_breaks_nothing(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut publisher = publisher(&bus, SOLO).await;
    for n in 0..50 {
        drop(
            publisher
                .publish(messages(n..n + 1))
                .await
                .expect("published"),
        );
    }
    // Closing waits for every receipt, also for those that nobody kept.
    within(SOON, publisher.close()).await.expect("closed");
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 50).await;
    assert_eq!(ledger.ids(), ids(0..50));
}

pub(crate) async fn an_undeclared_topic_is_an_error(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let undeclared = |error: Option<BusError>| {
        assert!(
            matches!(error, Some(BusError::Undeclared { .. })),
            "{error:?}"
        );
    };
    undeclared(bus.publisher("nowhere").await.err());
    undeclared(bus.consumer("nowhere", G, 1).await.err());
    undeclared(bus.consumer(SOLO, "nobody", 1).await.err());
    undeclared(bus.depth(SOLO, "nobody").await.err());
    undeclared(bus.redrive("nowhere", G).await.err());
}

fn large(n: u64) -> Message {
    Message {
        body: Bytes::from(vec![b'x'; 4 << 10]),
        ..message(n)
    }
}

/// Publishes until the small topic is full. Returns how many went in and the number of the first that has to wait.
async fn fill(bus: &Arc<dyn Bus>, count: u64) -> tokio::task::JoinHandle<u64> {
    let mut publisher = publisher(bus, SMALL).await;
    tokio::spawn(async move {
        let mut confirmed = 0;
        for n in 0..count {
            let receipt = publisher.publish(vec![large(n)]).await.expect("published");
            receipt.await.expect("receipt");
            confirmed += 1;
        }
        publisher.close().await.expect("closed");
        confirmed
    })
}

pub(crate) async fn a_full_topic_makes_publishers_wait_and_loses_nothing(ctx: &Ctx) {
    let bus = ctx.bus().await;
    // Three times what the topic holds.
    let count = 3 * SMALL_BYTES / (4 << 10);
    let mut publishing = fill(&bus, count).await;
    let waits = timeout(Duration::from_secs(1), &mut publishing).await;
    assert!(waits.is_err(), "the topic took three times its bound");
    let depth = bus.depth(SMALL, G).await.expect("depth");
    assert!(depth.ready < count, "{depth:?} of {count}");
    let mut consumer = consumer(&bus, SMALL, G, 4).await;
    let mut ledger = Ledger::default();
    while ledger.seen.len() < usize::try_from(count).expect("small") {
        let batch = within(SOON, consumer.recv(4, Duration::ZERO)).await;
        let mut verdicts = Vec::new();
        for delivery in batch.expect("received") {
            ledger.see(&delivery);
            verdicts.push((delivery.token, Verdict::Ack));
        }
        consumer.settle(verdicts).await.expect("settled");
    }
    assert_eq!(within(SOON, publishing).await.expect("joined"), count);
    assert_eq!(ledger.ids(), ids(0..count));
    ledger.assert_no_duplicates();
}

pub(crate) async fn confirms_of_many_tasks_never_cross(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut tasks = Vec::new();
    for task in 0..8_u64 {
        let mut publisher = publisher(&bus, SOLO).await;
        tasks.push(tokio::spawn(async move {
            let mut receipts = Vec::new();
            for n in 0..25 {
                let message = messages(task * 25 + n..task * 25 + n + 1);
                receipts.push(publisher.publish(message).await.expect("published"));
            }
            for receipt in receipts {
                receipt.await.expect("receipt");
            }
        }));
    }
    for task in tasks {
        within(SOON, task).await.expect("joined");
    }
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 200).await;
    assert_eq!(ledger.ids(), ids(0..200));
    ledger.assert_no_duplicates();
}

/// The same id sent twice is one message where the broker drops repeats, otherwise two with the same id.
pub(crate) async fn the_same_id_sent_again_is_recognisable(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..1).await;
    publish(&bus, SOLO, 0..1).await;
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    let first = recv_one(&mut *consumer).await;
    let id = first.message.id;
    settle_one(&mut *consumer, first.token, Verdict::Ack).await;
    let again = timeout(QUIET, hold(&mut *consumer, 1)).await;
    match again {
        Ok(again) => {
            assert!(!bus.capabilities().deduplicates);
            assert_eq!(again[0].message.id, id);
            assert_eq!(again[0].attempt, 1);
        }
        Err(_) => assert!(bus.capabilities().deduplicates),
    }
}
