//! Laws of delivery: everything arrives, whole, once for each group.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use residual::bus::{BusError, Message, Verdict};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    ctx::{A, B, Ctx, G, SHARED, SOLO, consumer, publisher, within},
    ledger::{
        LINGER, Ledger, QUIET, SOON, assert_quiet, hold, ids, message, messages, number, publish,
        recv, recv_one, settle_one,
    },
};

pub(crate) async fn all_published_arrive(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..300).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 300).await;
    assert_eq!(ledger.ids(), ids(0..300));
    ledger.assert_no_duplicates();
    assert_quiet(&mut *consumer, QUIET).await;
}

pub(crate) async fn bytes_headers_and_id_round_trip(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let body_max = bus.capabilities().body_max.min(512 << 10);
    let bodies = [
        Bytes::new(),
        Bytes::from_static(b"\xff\x00\r\n\xfe"),
        Bytes::from(vec![0xa5; body_max]),
    ];
    let mut sent = Vec::new();
    for (n, body) in (0_u128..).zip(bodies) {
        let mut message = Message::new(Uuid::from_u128(u128::MAX - n), "application/x-test", body);
        message
            .headers
            .insert("traceparent".to_owned(), "00-ab-cd-01".to_owned());
        message
            .headers
            .insert("x-text".to_owned(), "one, two; three = 3".to_owned());
        sent.push(message);
    }
    sent.push(Message::new(
        Uuid::from_u128(5),
        "",
        Bytes::from_static(b"no words"),
    ));
    let mut publisher = publisher(&bus, SOLO).await;
    let receipt = publisher.publish(sent.clone()).await.expect("published");
    within(SOON, receipt.into_future()).await.expect("receipt");
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    let held = hold(&mut *consumer, sent.len()).await;
    let came: Vec<Message> = held.into_iter().map(|delivery| delivery.message).collect();
    assert_eq!(came, sent);
}

pub(crate) async fn two_groups_each_get_all(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SHARED, 0..100).await;
    for group in [A, B] {
        let mut consumer = consumer(&bus, SHARED, group, 32).await;
        let mut ledger = Ledger::default();
        ledger.drain(&mut *consumer, 100).await;
        assert_eq!(ledger.ids(), ids(0..100));
        ledger.assert_no_duplicates();
    }
}

pub(crate) async fn competing_consumers_share_without_overlap(ctx: &Ctx) {
    let (one, two) = (ctx.bus().await, ctx.bus().await);
    let mut first = consumer(&one, SOLO, G, 8).await;
    let mut second = consumer(&two, SOLO, G, 8).await;
    publish(&one, SOLO, 0..200).await;
    let (mut left, mut right) = (Ledger::default(), Ledger::default());
    tokio::join!(
        left.drain_all(&mut *first, Duration::from_secs(1)),
        right.drain_all(&mut *second, Duration::from_secs(1)),
    );
    left.assert_no_duplicates();
    right.assert_no_duplicates();
    assert!(left.ids().is_disjoint(&right.ids()));
    let all: BTreeSet<Uuid> = left.ids().union(&right.ids()).copied().collect();
    assert_eq!(all, ids(0..200));
}

pub(crate) async fn join_and_leave_rebalances(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..60).await;
    let mut ledger = Ledger::default();
    let mut first = consumer(&bus, SOLO, G, 4).await;
    ledger.drain(&mut *first, 20).await;
    let mut second = consumer(&bus, SOLO, G, 4).await;
    ledger.drain(&mut *second, 40).await;
    second.stop().await.expect("stopped");
    second.close().await.expect("closed");
    ledger.drain(&mut *first, 60).await;
    assert_eq!(ledger.ids(), ids(0..60));
    ledger.assert_no_duplicates();
}

pub(crate) async fn fifo_with_one_consumer_and_no_retry(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    publish(&bus, SOLO, 0..200).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 200).await;
    assert_eq!(ledger.order, (0..200).collect::<Vec<_>>());
}

pub(crate) async fn recv_honours_max_and_linger(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    publish(&bus, SOLO, 0..20).await;
    let mut ledger = Ledger::default();
    while ledger.seen.len() < 20 {
        let batch = recv(&mut *consumer, 7).await;
        assert!(
            (1..=7).contains(&batch.len()),
            "{} of at most 7",
            batch.len()
        );
        ledger.ack(&mut *consumer, batch).await;
    }
    // One message alone: it waits the linger for others and no longer, however large the batch could be.
    publish(&bus, SOLO, 20..21).await;
    let begun = Instant::now();
    let batch = within(SOON, consumer.recv(1_000, Duration::from_millis(200))).await;
    assert_eq!(batch.expect("received").len(), 1);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

/// A `recv` that is dropped half-way keeps what it had taken for the next one.
pub(crate) async fn recv_may_be_dropped_without_loss(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    let mut publisher = publisher(&bus, SOLO).await;
    let mut ledger = Ledger::default();
    for n in 0..40 {
        let receipt = publisher
            .publish(vec![message(n)])
            .await
            .expect("published");
        let cut = Duration::from_micros(300 * (n % 7));
        if let Ok(batch) = timeout(cut, consumer.recv(3, Duration::from_secs(1))).await {
            ledger.ack(&mut *consumer, batch.expect("received")).await;
        }
        receipt.await.expect("receipt");
    }
    ledger.drain(&mut *consumer, 40).await;
    assert_eq!(ledger.ids(), ids(0..40));
    ledger.assert_no_duplicates();
}

pub(crate) async fn too_large_is_refused_locally_and_the_publisher_lives(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let max = bus.capabilities().body_max;
    let mut publisher = publisher(&bus, SOLO).await;
    let mut large = message(1);
    large.body = Bytes::from(vec![0; max + 1]);
    let refused = publisher.publish(vec![message(0), large]).await;
    let error = refused.expect_err("it is too large");
    assert!(
        matches!(error, BusError::TooLarge { size, max: m } if size == max + 1 && m == max),
        "{error}"
    );
    let receipt = publisher.publish(messages(2..3)).await.expect("published");
    within(SOON, receipt.into_future()).await.expect("receipt");
    // Nothing of the refused batch was sent.
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    let only = recv_one(&mut *consumer).await;
    assert_eq!(number(&only), 2);
    settle_one(&mut *consumer, only.token, Verdict::Ack).await;
    let more = timeout(QUIET, consumer.recv(8, LINGER)).await;
    assert!(more.is_err(), "{more:?}");
}
