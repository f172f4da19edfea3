//! Laws of life: declaring, stopping, closing, and what the bus says of itself.

use std::{sync::Arc, time::Duration};

use residual::bus::{BusError, Link, Topic, Topology, Verdict};
use tokio::time::Instant;

use super::{
    ctx::{A, B, Ctx, G, SHARED, SOLO, consumer, publisher, topology, within},
    ledger::{
        Ledger, QUIET, SOON, assert_quiet, hold, ids, is_closed, messages, number, publish, recv,
        recv_one, settle_one, until_depth,
    },
    worker::{Habit, Role, Worker},
};

pub(crate) async fn declare_is_idempotent_and_concurrent(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..3).await;
    let mut declaring = Vec::new();
    for _ in 0..8 {
        let client = ctx.bus().await;
        declaring.push(tokio::spawn(
            async move { client.declare(&topology()).await },
        ));
    }
    for task in declaring {
        within(SOON, task).await.expect("joined").expect("declared");
    }
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 3).await;
    ledger.assert_no_duplicates();
}

pub(crate) async fn a_declare_conflict_is_loud_and_changes_nothing(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..3).await;
    let mut other = Topic::new(SOLO, &[G]);
    other.bytes_max = 1 << 20;
    let conflicting = Topology::with_dead_letters(vec![other]);
    let second = ctx.bus().await;
    let error = second.declare(&conflicting).await.expect_err("a conflict");
    assert!(matches!(&error, BusError::Conflict { .. }), "{error}");
    assert!(error.is_configuration());
    assert!(error.to_string().contains(SOLO), "{error}");
    let mut consumer = consumer(&bus, SOLO, G, 8).await;
    Ledger::default().drain(&mut *consumer, 3).await;
}

pub(crate) async fn published_before_any_consumer_is_kept(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SHARED, 0..10).await;
    bus.close().await.expect("closed");
    let later = ctx.bus().await;
    for group in [A, B] {
        let mut consumer = consumer(&later, SHARED, group, 8).await;
        let mut ledger = Ledger::default();
        ledger.drain(&mut *consumer, 10).await;
        assert_eq!(ledger.ids(), ids(0..10));
    }
}

pub(crate) async fn after_stop_nothing_new_is_delivered(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..20).await;
    let mut stopping = consumer(&bus, SOLO, G, 16).await;
    let held = hold(&mut *stopping, 5).await;
    stopping.stop().await.expect("stopped");
    let after = within(SOON, stopping.recv(16, Duration::ZERO)).await;
    assert!(after.expect("received").is_empty());
    let acks = held.into_iter().map(|d| (d.token, Verdict::Ack));
    let settled = stopping.settle(acks.collect()).await.expect("settled");
    assert_eq!((settled.ok, settled.stale), (5, 0));
    stopping.close().await.expect("closed");
    let mut next = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *next, 15).await;
    assert_eq!(ledger.ids(), ids(5..20));
}

pub(crate) async fn a_clean_stop_means_no_redelivery(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..60).await;
    let mut ledger = Ledger::default();
    for _ in 0..4 {
        let client = ctx.bus().await;
        let mut consumer = consumer(&client, SOLO, G, 16).await;
        for _ in 0..2 {
            let batch = recv(&mut *consumer, 6).await;
            ledger.ack(&mut *consumer, batch).await;
        }
        consumer.stop().await.expect("stopped");
        consumer.close().await.expect("closed");
        client.close().await.expect("closed");
    }
    let mut last = consumer(&bus, SOLO, G, 16).await;
    ledger.drain(&mut *last, 60).await;
    ledger.assert_no_duplicates();
}

pub(crate) async fn released_messages_return_at_once(ctx: &Ctx) {
    // With a lease of a minute, what is back within seconds did not wait for it.
    let bus = ctx.bus_with(|config| config.lease_ms = 60_000).await;
    publish(&bus, SOLO, 0..10).await;
    let mut first = consumer(&bus, SOLO, G, 16).await;
    let mut held = hold(&mut *first, 10).await;
    // It joins late: a broker that pushes would have given it one of the ten.
    let mut second = consumer(&bus, SOLO, G, 16).await;
    let begun = Instant::now();
    let released = held.split_off(5).into_iter();
    let released = released.map(|d| (d.token, Verdict::Release)).collect();
    // Stopped first: what a consumer gives back while it still takes may come to itself.
    first.stop().await.expect("stopped");
    first.settle(released).await.expect("settled");
    first.close().await.expect("closed");
    let mut ledger = Ledger::default();
    ledger.drain(&mut *second, 10).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let attempts: Vec<u32> = ledger.seen.into_values().flatten().collect();
    let counted = u32::from(!bus.capabilities().uncounted_release);
    assert_eq!(attempts, vec![1 + counted; 10]);
}

pub(crate) async fn stop_never_dead_letters(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.attempts_max = 20).await;
    publish(&bus, SOLO, 0..10).await;
    for _ in 0..6 {
        let mut consumer = consumer(&bus, SOLO, G, 16).await;
        drop(recv(&mut *consumer, 10).await);
        consumer.stop().await.expect("stopped");
        consumer.close().await.expect("closed");
    }
    until_depth(&bus, (SOLO, G), |depth| depth.ready == 10).await;
    let depth = bus.depth(SOLO, G).await.expect("depth");
    assert_eq!((depth.in_flight, depth.dead), (0, 0));
}

pub(crate) async fn drop_without_close_is_safe(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut lost = publisher(&bus, SOLO).await;
    let receipt = lost.publish(messages(0..10)).await.expect("published");
    receipt.await.expect("receipt");
    drop(lost);
    let mut first = consumer(&bus, SOLO, G, 16).await;
    let held = hold(&mut *first, 10).await;
    drop(first);
    drop(held);
    drop(bus);
    let bus = ctx.bus().await;
    let mut second = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *second, 10).await;
    assert_eq!(ledger.ids(), ids(0..10));
}

pub(crate) async fn everything_may_close_at_once(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..10).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let consumer = consumer(&bus, SOLO, G, 4).await;
        let publisher = publisher(&bus, SOLO).await;
        tasks.push(tokio::spawn(async move {
            let (left, right) = tokio::join!(consumer.close(), publisher.close());
            for closed in [left, right] {
                assert!(closed.as_ref().err().is_none_or(is_closed), "{closed:?}");
            }
        }));
    }
    let closing = Arc::clone(&bus);
    tasks.push(tokio::spawn(async move {
        closing.close().await.expect("closed");
    }));
    for task in tasks {
        within(SOON, task).await.expect("joined");
    }
    // After it, everything says that it is closed, and nothing hangs.
    let error = within(SOON, bus.publisher(SOLO)).await.err();
    assert!(error.as_ref().is_some_and(is_closed), "{error:?}");
    let bus = ctx.bus().await;
    until_depth(&bus, (SOLO, G), |depth| {
        depth.ready == 10 && depth.in_flight == 0
    })
    .await;
}

pub(crate) async fn depth_is_truthful(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SHARED, 0..10).await;
    let mut a = consumer(&bus, SHARED, A, 4).await;
    let mut held = hold(&mut *a, 4).await;
    until_depth(&bus, (SHARED, A), |d| {
        (d.ready, d.in_flight, d.dead) == (6, 4, 0)
    })
    .await;
    until_depth(&bus, (SHARED, B), |d| {
        (d.ready, d.in_flight, d.dead) == (10, 0, 0)
    })
    .await;
    settle_one(&mut *a, held.remove(0).token, Verdict::Ack).await;
    settle_one(
        &mut *a,
        held.remove(0).token,
        Verdict::Dead("bad".to_owned()),
    )
    .await;
    let delay = Verdict::Retry(Duration::from_secs(60));
    settle_one(&mut *a, held.remove(0).token, delay).await;
    a.stop().await.expect("stopped");
    settle_one(&mut *a, held.remove(0).token, Verdict::Release).await;
    a.close().await.expect("closed");
    // Six untouched, one delayed and one released; a delayed one may be held by the bus itself.
    until_depth(&bus, (SHARED, A), |d| {
        (d.ready + d.in_flight, d.dead) == (8, 1)
    })
    .await;
    until_depth(&bus, (SHARED, B), |d| {
        (d.ready, d.in_flight, d.dead) == (10, 0, 0)
    })
    .await;
}

pub(crate) async fn depth_counts_other_processes_or_says_that_it_does_not(ctx: &Ctx) {
    let capabilities = ctx.capabilities().await;
    if !capabilities.outlives_process {
        assert!(capabilities.counts_elsewhere);
        let bus = ctx.bus().await;
        publish(&bus, SOLO, 0..10).await;
        return until_depth(&bus, (SOLO, G), |d| (d.ready, d.elsewhere) == (10, Some(0))).await;
    }
    let roles = vec![Role::publish(SOLO, 10), Role::consume(SOLO, G, Habit::Hold)];
    let worker = Worker::start(ctx, ctx.fixture.config(), roles).await;
    worker.until(|log| log.seen_by(G).len() == 10).await;
    let bus = ctx.bus().await;
    let expected = if capabilities.counts_elsewhere {
        (10, 0, Some(10))
    } else {
        (0, 0, None)
    };
    until_depth(&bus, (SOLO, G), |d| {
        (d.ready, d.in_flight, d.elsewhere) == expected
    })
    .await;
}

pub(crate) async fn the_broker_describes_itself(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let info = bus.describe().await.expect("described");
    assert!(
        !info.name.is_empty() && !info.version.is_empty(),
        "{info:?}"
    );
    assert_eq!(*bus.link().borrow(), Link::Up);
    assert!(bus.capabilities().body_max >= 512 << 10);
    publish(&bus, SOLO, 0..1).await;
    let mut consumer = consumer(&bus, SOLO, G, 1).await;
    assert_eq!(number(&recv_one(&mut *consumer).await), 0);
    assert_quiet(&mut *consumer, QUIET).await;
}
