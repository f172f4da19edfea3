//! Laws of settling: what comes back, when, and how often it is said to have been tried.

use std::{collections::BTreeSet, time::Duration};

use residual::bus::{Token, Verdict};
use tokio::time::{Instant, timeout};

use super::{
    ctx::{Ctx, G, SOLO, consumer, within},
    ledger::{
        LINGER, Ledger, QUIET, SOON, assert_quiet, hold, ids, number, publish, recv, recv_one,
        settle_one,
    },
};

pub(crate) async fn ack_is_final(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.lease_ms = 1_000).await;
    publish(&bus, SOLO, 0..10).await;
    let mut first = consumer(&bus, SOLO, G, 16).await;
    Ledger::default().drain(&mut *first, 10).await;
    drop(first);
    let other = ctx.bus().await;
    let mut second = consumer(&other, SOLO, G, 16).await;
    assert_quiet(&mut *second, Duration::from_millis(1_500)).await;
}

pub(crate) async fn retry_is_not_ack(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..1).await;
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    let first = recv_one(&mut *consumer).await;
    settle_one(&mut *consumer, first.token, Verdict::Retry(Duration::ZERO)).await;
    let again = recv_one(&mut *consumer).await;
    assert_eq!((number(&again), again.attempt), (0, 2));
}

pub(crate) async fn out_of_order_settles_leave_exactly_the_rest(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..20).await;
    let mut first = consumer(&bus, SOLO, G, 20).await;
    let held = hold(&mut *first, 20).await;
    let mut verdicts = Vec::new();
    for delivery in held.into_iter().rev() {
        if number(&delivery).is_multiple_of(3) {
            verdicts.push((delivery.token, Verdict::Ack));
        }
    }
    first.settle(verdicts).await.expect("settled");
    drop(first);
    bus.close().await.expect("closed");
    // A clean restart, where the broker stores anything; where it does not, the law ends with the client.
    if bus.capabilities().durable {
        ctx.fixture.restart().await;
    }
    let bus = ctx.bus().await;
    let mut second = consumer(&bus, SOLO, G, 20).await;
    let mut rest = Ledger::default();
    rest.drain_all(&mut *second, ctx.lease() + QUIET).await;
    let left: BTreeSet<u64> = rest.order.iter().copied().collect();
    assert_eq!(left, (0..20).filter(|n| n % 3 != 0).collect());
}

pub(crate) async fn one_consumers_ack_leaves_anothers(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut first = consumer(&bus, SOLO, G, 1).await;
    let mut second = consumer(&bus, SOLO, G, 1).await;
    publish(&bus, SOLO, 0..2).await;
    let kept = recv_one(&mut *first).await;
    let done = recv_one(&mut *second).await;
    let (kept_id, done_id) = (kept.message.id, done.message.id);
    assert_ne!(kept_id, done_id);
    settle_one(&mut *second, done.token, Verdict::Ack).await;
    drop(first);
    let back = recv_one(&mut *second).await;
    assert_eq!(back.message.id, kept_id);
    settle_one(&mut *second, back.token, Verdict::Ack).await;
}

pub(crate) async fn a_lease_is_kept_while_working(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.lease_ms = 1_000).await;
    publish(&bus, SOLO, 0..1).await;
    let mut working = consumer(&bus, SOLO, G, 4).await;
    let held = recv_one(&mut *working).await;
    // It joins late: a broker that pushes could have given it the message.
    let mut idle = consumer(&bus, SOLO, G, 4).await;
    assert_quiet(&mut *idle, Duration::from_millis(2_500)).await;
    settle_one(&mut *working, held.token, Verdict::Ack).await;
    assert_quiet(&mut *idle, QUIET).await;
}

pub(crate) async fn retry_waits_its_delay_and_blocks_nobody(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..5).await;
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    let first = recv_one(&mut *consumer).await;
    assert_eq!(number(&first), 0);
    let (begun, delay) = (Instant::now(), Duration::from_millis(1_200));
    settle_one(&mut *consumer, first.token, Verdict::Retry(delay)).await;
    let mut others = Ledger::default();
    others.drain(&mut *consumer, 4).await;
    assert_eq!(others.order, [1, 2, 3, 4]);
    assert!(begun.elapsed() < delay, "the others waited for the retry");
    let again = recv_one(&mut *consumer).await;
    assert_eq!((number(&again), again.attempt), (0, 2));
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
}

pub(crate) async fn attempts_count_up(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.attempts_max = 10).await;
    publish(&bus, SOLO, 0..1).await;
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    for attempt in 1..=4 {
        let delivery = recv_one(&mut *consumer).await;
        assert_eq!(delivery.attempt, attempt);
        settle_one(
            &mut *consumer,
            delivery.token,
            Verdict::Retry(Duration::ZERO),
        )
        .await;
    }
}

pub(crate) async fn a_stale_token_is_harmless(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..2).await;
    let mut first = consumer(&bus, SOLO, G, 1).await;
    let stale = recv_one(&mut *first).await;
    drop(first);
    let mut second = consumer(&bus, SOLO, G, 1).await;
    let settled = second.settle(vec![(stale.token, Verdict::Ack)]).await;
    let settled = settled.expect("a stale token is no error");
    assert_eq!((settled.ok, settled.stale), (0, 1));
    let mut ledger = Ledger::default();
    ledger.drain(&mut *second, 2).await;
    assert_eq!(ledger.ids(), ids(0..2));
}

/// Settling twice does not compile: a token is moved into `settle` and there is no way to have two.
pub(crate) async fn a_token_is_not_clone(_: &Ctx) {
    trait Ambiguous<A> {
        fn exists() {}
    }
    struct Cloneable;
    impl<T> Ambiguous<()> for T {}
    impl<T: Clone> Ambiguous<Cloneable> for T {}
    // Ambiguous, and so an error, as soon as a token is `Clone`.
    let exists = <Token as Ambiguous<_>>::exists;
    exists();
}

pub(crate) async fn the_window_is_never_exceeded(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..50).await;
    let mut consumer = consumer(&bus, SOLO, G, 5).await;
    let held = hold(&mut *consumer, 5).await;
    assert_quiet(&mut *consumer, QUIET).await;
    let acks = held.into_iter().map(|d| (d.token, Verdict::Ack));
    consumer.settle(acks.collect()).await.expect("settled");
    assert_eq!(hold(&mut *consumer, 5).await.len(), 5);
    assert_quiet(&mut *consumer, QUIET).await;
}

pub(crate) async fn a_saturated_window_resumes(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..12).await;
    let mut consumer = consumer(&bus, SOLO, G, 3).await;
    let mut held = hold(&mut *consumer, 3).await;
    for _ in 3..12 {
        let waiting = timeout(Duration::from_millis(50), consumer.recv(1, LINGER)).await;
        assert!(waiting.is_err(), "the window was full");
        let first = held.remove(0);
        settle_one(&mut *consumer, first.token, Verdict::Ack).await;
        held.push(recv_one(&mut *consumer).await);
    }
    assert_eq!(held.iter().map(number).collect::<Vec<_>>(), [9, 10, 11]);
}

pub(crate) async fn a_batch_larger_than_the_window_does_not_deadlock(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.publish_window = 8).await;
    // Publishing more at once than the window holds, and asking for more than the window allows.
    let mut publisher = bus.publisher(SOLO).await.expect("publisher");
    let messages = super::ledger::messages(0..100);
    let receipt = within(SOON, publisher.publish(messages)).await;
    within(SOON, receipt.expect("published").into_future())
        .await
        .expect("receipt");
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    let mut ledger = Ledger::default();
    while ledger.seen.len() < 100 {
        let batch = recv(&mut *consumer, 1_000).await;
        assert!(batch.len() <= 4);
        ledger.ack(&mut *consumer, batch).await;
    }
    ledger.assert_no_duplicates();
}
