//! Laws of outages: of the broker, of the link, of a worker. What was confirmed is there afterwards.
//!
//! Where the broker lives in its client's process there is no link to lose, and killing the worker kills the broker.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use residual::bus::{
    Bus, Link, Verdict,
    settle::dead::{ATTEMPTS, ORIGINAL_ID},
    topology::{DEAD_GROUP, dead_topic},
};
use tokio::time::timeout;

use super::{
    ctx::{A, B, Ctx, G, SHARED, SOLO, consumer, publisher, topology, within},
    ledger::{
        LINGER, Ledger, QUIET, SOON, assert_quiet, hold, ids, message, messages, number, publish,
        recv_one, settle_one, until_depth,
    },
    worker::{Habit, Log, Role, Worker},
};

/// Consumes what is left, for longer than a lease, and adds it to the log.
async fn drain_rest(ctx: &Ctx, topic: &str, group: &str, log: &mut Log) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, topic, group, 16).await;
    let quiet = ctx.lease() + Duration::from_millis(500);
    while let Ok(batch) = timeout(quiet, consumer.recv(64, LINGER)).await {
        let mut verdicts = Vec::new();
        for delivery in batch.expect("received") {
            log.see(group, number(&delivery), delivery.attempt);
            verdicts.push((delivery.token, Verdict::Ack));
        }
        consumer.settle(verdicts).await.expect("settled");
    }
    consumer.close().await.expect("closed");
    bus.close().await.expect("closed");
}

/// The oracle: confirmed minus seen is empty.
fn assert_nothing_lost(log: &Log, group: &str) {
    let lost: Vec<_> = log
        .confirmed
        .difference(&log.seen_by(group))
        .copied()
        .collect();
    assert!(lost.is_empty(), "confirmed and lost in {group}: {lost:?}");
}

/// A broker that stores nothing has nothing after it was killed.
async fn assert_empty(ctx: &Ctx, topic: &str, group: &str) {
    let mut log = Log::default();
    drain_rest(ctx, topic, group, &mut log).await;
    assert_eq!(log.seen_by(group), BTreeSet::new());
}

async fn durable(ctx: &Ctx) -> bool {
    ctx.capabilities().await.durable
}

pub(crate) async fn a_receipt_means_durable(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let mut worker = Worker::start(ctx, ctx.fixture.config(), vec![Role::publish(SOLO, 0)]).await;
    worker.until_confirmed(200).await;
    if let Some(server) = ctx.fixture.server() {
        server.kill9().await;
        worker.kill9();
        server.start().await;
    }
    worker.kill9();
    if !durable {
        return assert_empty(ctx, SOLO, G).await;
    }
    let mut log = worker.log().clone();
    drain_rest(ctx, SOLO, G, &mut log).await;
    assert_nothing_lost(&log, G);
}

fn load() -> Vec<Role> {
    vec![
        Role::publish(SHARED, 0),
        Role::consume(SHARED, A, Habit::Ack),
        Role::consume(SHARED, B, Habit::Ack),
    ]
}

/// Ends the load: what is left is drained, and nothing confirmed is missing in either group.
async fn settle_load(ctx: &Ctx, mut worker: Worker, durable: bool) -> Log {
    worker.stop().await;
    let mut log = worker.log().clone();
    if !durable {
        for group in [A, B] {
            assert_empty(ctx, SHARED, group).await;
        }
        return log;
    }
    for group in [A, B] {
        drain_rest(ctx, SHARED, group, &mut log).await;
        assert_nothing_lost(&log, group);
    }
    log
}

pub(crate) async fn broker_kill9_under_load(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let mut worker = Worker::start(ctx, ctx.fixture.config(), load()).await;
    for _ in 0..3 {
        worker.until_confirmed(100).await;
        worker.kill9_broker(ctx).await;
    }
    worker.until_confirmed(100).await;
    settle_load(ctx, worker, durable).await;
}

pub(crate) async fn three_graceful_broker_restarts_under_load(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let mut worker = Worker::start(ctx, ctx.fixture.config(), load()).await;
    for _ in 0..3 {
        worker.until_confirmed(100).await;
        worker.restart_broker(ctx).await;
    }
    worker.until_confirmed(100).await;
    let log = settle_load(ctx, worker, durable).await;
    if ctx.fixture.server().is_none() && durable {
        // Its clients stopped cleanly with it: nobody saw anything twice.
        let twice = log
            .seen
            .values()
            .flatten()
            .filter(|(_, sights)| sights.len() > 1);
        assert_eq!(twice.count(), 0);
    }
}

/// SIGSTOP for longer than a lease, then SIGCONT.
pub(crate) async fn a_paused_broker_goes_on(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let worker = Worker::start(ctx, ctx.fixture.config(), load()).await;
    worker.until_confirmed(100).await;
    let pause = ctx.lease() + Duration::from_millis(500);
    if let Some(server) = ctx.fixture.server() {
        server.pause().await;
        tokio::time::sleep(pause).await;
        server.resume().await;
    } else {
        worker.signal("-STOP");
        tokio::time::sleep(pause).await;
        worker.signal("-CONT");
    }
    worker.until_confirmed(100).await;
    let log = settle_load(ctx, worker, durable).await;
    if ctx.fixture.server().is_none() {
        let twice = log
            .seen
            .values()
            .flatten()
            .filter(|(_, sights)| sights.len() > 1);
        assert_eq!(twice.count(), 0, "a lease ran out while its holder lived");
    }
}

pub(crate) async fn publisher_kill9_mid_window(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let mut worker = Worker::start(ctx, ctx.fixture.config(), vec![Role::publish(SOLO, 0)]).await;
    worker.until_confirmed(150).await;
    worker.kill9();
    if !durable {
        return assert_empty(ctx, SOLO, G).await;
    }
    let mut log = worker.log().clone();
    drain_rest(ctx, SOLO, G, &mut log).await;
    assert_nothing_lost(&log, G);
}

pub(crate) async fn consumer_kill9_mid_batch(ctx: &Ctx) {
    let capabilities = ctx.capabilities().await;
    let roles = vec![Role::publish(SOLO, 30), Role::consume(SOLO, G, Habit::Hold)];
    let mut worker = Worker::start(ctx, ctx.fixture.config(), roles).await;
    worker
        .until(|log| log.confirmed.len() == 30 && log.seen_by(G).len() >= 10)
        .await;
    worker.kill9();
    if !capabilities.durable {
        return assert_empty(ctx, SOLO, G).await;
    }
    let held = worker.log().seen_by(G);
    let mut log = Log::default();
    drain_rest(ctx, SOLO, G, &mut log).await;
    assert_eq!(log.seen_by(G), (0..30).collect());
    if capabilities.attempts_survive_restart {
        for n in held {
            assert_eq!(log.seen[G][&n], [2], "{n} was held when its consumer died");
        }
    }
}

pub(crate) async fn attempts_survive_a_restart_of_the_broker(ctx: &Ctx) {
    let capabilities = ctx.capabilities().await;
    let bus = ctx.bus_with(|config| config.attempts_max = 10).await;
    publish(&bus, SOLO, 0..1).await;
    let mut first = consumer(&bus, SOLO, G, 4).await;
    for attempt in 1..=2 {
        let delivery = recv_one(&mut *first).await;
        assert_eq!(delivery.attempt, attempt);
        settle_one(&mut *first, delivery.token, Verdict::Retry(Duration::ZERO)).await;
    }
    first.stop().await.expect("stopped");
    first.close().await.expect("closed");
    bus.close().await.expect("closed");
    ctx.fixture.restart().await;
    if !capabilities.durable {
        return assert_empty(ctx, SOLO, G).await;
    }
    let bus = ctx.bus_with(|config| config.attempts_max = 10).await;
    let mut second = consumer(&bus, SOLO, G, 4).await;
    let attempt = recv_one(&mut *second).await.attempt;
    if capabilities.attempts_survive_restart {
        assert!((3..=5).contains(&attempt), "{attempt}");
    } else {
        assert_eq!(attempt, 1);
    }
}

/// A record that kills its process becomes a dead letter after the most attempts; its neighbours are all processed.
pub(crate) async fn a_crashing_record_is_isolated_and_its_neighbours_survive(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let mut config = ctx.fixture.config();
    config.attempts_max = 4;
    let mut publishing = Worker::start(ctx, config.clone(), vec![Role::publish(SOLO, 40)]).await;
    publishing.until(|log| log.confirmed.len() == 40).await;
    publishing.stop().await;
    if !durable {
        return assert_empty(ctx, SOLO, G).await;
    }
    let crashing = vec![Role::consume(SOLO, G, Habit::AbortOn(17))];
    let mut worker = Worker::start(ctx, config.clone(), crashing).await;
    let (mut deaths, good) = (0, |n: &u64| *n != 17);
    let quiet = ctx.lease() + Duration::from_secs(1);
    while worker.died(quiet).await {
        deaths += 1;
        assert!(
            deaths <= config.attempts_max,
            "it kills more often than the cap"
        );
        worker.live().await;
    }
    worker.until(|log| log.acked_by(G).len() == 39).await;
    worker.stop().await;
    assert!(deaths >= 1);
    assert_eq!(worker.log().acked_by(G), (0..40).filter(good).collect());
    let bus = ctx.bus().await;
    let mut letters = consumer(&bus, &dead_topic(SOLO, G), DEAD_GROUP, 8).await;
    let letter = recv_one(&mut *letters).await;
    assert_eq!(number(&letter), 17);
    assert_eq!(
        letter.message.headers[ATTEMPTS],
        config.attempts_max.to_string()
    );
    assert_quiet(&mut *letters, QUIET).await;
    until_depth(&bus, (SOLO, G), |depth| depth.ready + depth.in_flight == 0).await;
}

/// Each message ends as acked or as a dead letter, at whatever instant the broker is killed.
pub(crate) async fn the_dead_are_never_lost_under_kill9(ctx: &Ctx) {
    let durable = durable(ctx).await;
    let roles = vec![
        Role::publish(SOLO, 0),
        Role::consume(SOLO, G, Habit::BuryThirds),
    ];
    let mut worker = Worker::start(ctx, ctx.fixture.config(), roles).await;
    for _ in 0..2 {
        let goal = worker.log().buried.len() + 25;
        worker.until(|log| log.buried.len() >= goal).await;
        worker.kill9_broker(ctx).await;
    }
    worker.until_confirmed(50).await;
    worker.kill9();
    if !durable {
        return assert_empty(ctx, &dead_topic(SOLO, G), DEAD_GROUP).await;
    }
    let log = worker.log().clone();
    let mut rest = Log::default();
    drain_rest(ctx, SOLO, G, &mut rest).await;
    let mut letters = Log::default();
    drain_rest(ctx, &dead_topic(SOLO, G), DEAD_GROUP, &mut letters).await;
    let (left, dead) = (rest.seen_by(G), letters.seen_by(DEAD_GROUP));
    for n in &log.confirmed {
        let expected = if n % 3 == 0 {
            dead.contains(n) || left.contains(n)
        } else {
            log.seen_by(G).contains(n) || left.contains(n)
        };
        assert!(expected, "{n} is neither processed nor dead nor left");
    }
    let missing: Vec<_> = log.buried.difference(&dead).collect();
    assert!(
        missing.is_empty(),
        "said to be buried, and no letter: {missing:?}"
    );
    assert!(
        dead.iter().all(|n| n % 3 == 0),
        "good ones are dead: {dead:?}"
    );
}

/// Resolves `true` once the link is down.
async fn goes_down(bus: &Arc<dyn Bus>, limit: Duration) -> bool {
    let mut link = bus.link();
    let down = link.wait_for(|link| matches!(link, Link::Down { .. }));
    timeout(limit, down).await.is_ok_and(|down| down.is_ok())
}

async fn comes_up(bus: &Arc<dyn Bus>) {
    let mut link = bus.link();
    let up = within(SOON * 2, link.wait_for(|link| *link == Link::Up)).await;
    assert!(up.is_ok());
}

pub(crate) async fn publishing_spans_a_reconnect(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut publisher = publisher(&bus, SOLO).await;
    let before = publisher.publish(messages(0..10)).await.expect("published");
    if let Some(server) = ctx.fixture.server() {
        server.cut().await;
    }
    let during = publisher
        .publish(messages(10..20))
        .await
        .expect("published");
    if let Some(server) = ctx.fixture.server() {
        assert!(goes_down(&bus, SOON).await);
        server.heal().await;
    }
    for receipt in [before, during] {
        within(SOON * 2, receipt.into_future())
            .await
            .expect("receipt");
    }
    comes_up(&bus).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 20).await;
    assert_eq!(ledger.ids(), ids(0..20));
}

pub(crate) async fn an_absent_broker_is_waited_for(ctx: &Ctx) {
    let Some(server) = ctx.fixture.server() else {
        // A broker in the same process is never absent: it is there, empty, as soon as it is asked for.
        let bus = within(Duration::from_secs(5), ctx.bus()).await;
        return until_depth(&bus, (SOLO, G), |depth| depth.ready == 0).await;
    };
    let (config, absent) = server.absent().await;
    let starting = tokio::spawn(async move {
        let bus = residual::bus::connect(
            &config,
            residual::clock::Clock::system(),
            residual::bus::random_seed(),
        )
        .await;
        let bus = bus.expect("connected");
        bus.declare(&topology()).await.expect("declared");
        publish(&bus, SOLO, 0..3).await;
        bus
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!starting.is_finished(), "it has to wait for the broker");
    absent.start().await;
    let bus = within(SOON * 2, starting).await.expect("joined");
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    Ledger::default().drain(&mut *consumer, 3).await;
}

pub(crate) async fn an_outage_longer_than_any_backoff_is_survived(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    publish(&bus, SOLO, 0..5).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    let Some(server) = ctx.fixture.server() else {
        assert!(!goes_down(&bus, QUIET).await, "there is no link to lose");
        return;
    };
    server.kill9().await;
    assert!(goes_down(&bus, SOON).await);
    let away = Duration::from_millis(8 * ctx.fixture.config().backoff_max_ms);
    tokio::time::sleep(away).await;
    let mut link = bus.link();
    let again = link.wait_for(|link| matches!(link, Link::Down { tries, .. } if *tries >= 2));
    within(SOON, again).await.expect("it tries again and again");
    server.start().await;
    comes_up(&bus).await;
    publish(&bus, SOLO, 5..10).await;
    ledger.drain(&mut *consumer, 10).await;
    assert_eq!(ledger.ids(), ids(0..10));
}

/// While the broker is away and when the bus is closed, too.
pub(crate) async fn a_publisher_with_nothing_unconfirmed_closes_at_once(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let (mut before, mut after) = (publisher(&bus, SOLO).await, publisher(&bus, SOLO).await);
    for publisher in [&mut before, &mut after] {
        let receipt = publisher.publish(messages(0..5)).await.expect("published");
        receipt.await.expect("receipt");
    }
    if let Some(server) = ctx.fixture.server() {
        server.kill9().await;
        assert!(goes_down(&bus, SOON).await);
    }
    within(SOON, before.close()).await.expect("closed");
    bus.close().await.expect("closed");
    within(SOON, after.close()).await.expect("closed");
}

pub(crate) async fn a_half_open_link_is_noticed(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    publish(&bus, SOLO, 0..5).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    let Some(server) = ctx.fixture.server() else {
        assert!(!goes_down(&bus, QUIET).await, "there is no link to lose");
        return;
    };
    server.swallow().await;
    assert!(
        goes_down(&bus, Duration::from_secs(30)).await,
        "nobody noticed"
    );
    server.heal().await;
    comes_up(&bus).await;
    publish(&bus, SOLO, 5..10).await;
    ledger.drain(&mut *consumer, 10).await;
}

/// The link is cut again and again while many publish: each confirmed message exists.
pub(crate) async fn confirms_never_cross_while_the_link_is_cut(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut tasks = Vec::new();
    for task in 0..6_u64 {
        let mut publisher = publisher(&bus, SOLO).await;
        tasks.push(tokio::spawn(async move {
            let mut receipts = Vec::new();
            for n in task * 50..task * 50 + 50 {
                receipts.push(
                    publisher
                        .publish(vec![message(n)])
                        .await
                        .expect("published"),
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for receipt in receipts {
                receipt.await.expect("receipt");
            }
        }));
    }
    if let Some(server) = ctx.fixture.server() {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            server.cut().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.heal().await;
        }
    }
    for task in tasks {
        within(SOON * 2, task).await.expect("joined");
    }
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain_all(&mut *consumer, ctx.lease() + QUIET).await;
    assert_eq!(ledger.ids(), ids(0..300));
    if ctx.fixture.server().is_none() {
        ledger.assert_no_duplicates();
    }
}

/// After a reconnect: what was acked stays away, what was held is stale and comes back, the window holds.
pub(crate) async fn a_reconnect_keeps_acks_and_windows(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..20).await;
    let mut consumer = consumer(&bus, SOLO, G, 5).await;
    let mut held = hold(&mut *consumer, 5).await;
    let kept = held.split_off(2);
    let acks = held.into_iter().map(|d| (d.token, Verdict::Ack));
    consumer.settle(acks.collect()).await.expect("settled");
    if let Some(server) = ctx.fixture.server() {
        server.cut().await;
        assert!(goes_down(&bus, SOON).await);
        server.heal().await;
        comes_up(&bus).await;
    } else {
        // Without a link, deliveries are lost only by dropping their consumer.
        drop(consumer);
        consumer = super::ctx::consumer(&bus, SOLO, G, 5).await;
    }
    let stale = kept.into_iter().map(|d| (d.token, Verdict::Release));
    let settled = consumer.settle(stale.collect()).await.expect("settled");
    assert_eq!(settled.ok + settled.stale, 3);
    // As many as it gives without a settlement: what came back comes alone, and never more than the window.
    let mut again = Vec::new();
    while let Ok(batch) = timeout(QUIET * 2, consumer.recv(16, LINGER)).await {
        again.extend(batch.expect("received"));
    }
    assert!((1..=5).contains(&again.len()), "{again:?}");
    let mut ledger = Ledger::default();
    ledger.ack(&mut *consumer, again).await;
    ledger.drain_all(&mut *consumer, ctx.lease() + QUIET).await;
    let seen: BTreeSet<u64> = ledger.order.iter().copied().collect();
    assert_eq!(seen, (2..20).collect());
}

/// While nothing can be confirmed, at most a window is taken from a publisher.
pub(crate) async fn the_publish_window_holds_publishers_back(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.publish_window = 8).await;
    let mut publisher = publisher(&bus, SOLO).await;
    if let Some(server) = ctx.fixture.server() {
        server.pause().await;
    }
    let (mut taken, mut receipts) = (0, Vec::new());
    while taken < 40
        && let Ok(receipt) = timeout(QUIET, publisher.publish(vec![message(taken)])).await
    {
        receipts.push(receipt.expect("published"));
        taken += 1;
    }
    if let Some(server) = ctx.fixture.server() {
        assert!(taken <= 8, "{taken} were taken with a window of 8");
        server.resume().await;
    } else {
        assert_eq!(taken, 40, "a broker in the process confirms as it goes");
    }
    for receipt in receipts {
        within(SOON * 2, receipt.into_future())
            .await
            .expect("receipt");
    }
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain_all(&mut *consumer, ctx.lease() + QUIET).await;
    assert!(ledger.ids().is_superset(&ids(0..taken)));
}

/// A broker that refuses publishers still takes acks.
pub(crate) async fn blocked_publishers_do_not_block_acks(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..10).await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    let held = hold(&mut *consumer, 10).await;
    let small = super::ctx::SMALL;
    let topic = match ctx.fixture.server() {
        Some(server) => {
            server.fill().await;
            SOLO
        }
        // Without a server's quota, a full topic blocks.
        None => small,
    };
    let mut blocked = publisher(&bus, topic).await;
    let publishing = tokio::spawn(async move {
        for n in 100..130 {
            let mut large = message(n);
            large.body = vec![b'x'; 8 << 10].into();
            let receipt = blocked.publish(vec![large]).await.expect("published");
            receipt.await.expect("receipt");
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!publishing.is_finished(), "it was to be blocked");
    let acks = held.into_iter().map(|d| (d.token, Verdict::Ack));
    let settled = within(Duration::from_secs(5), consumer.settle(acks.collect())).await;
    assert_eq!(settled.expect("settled").ok, 10);
    if let Some(server) = ctx.fixture.server() {
        server.free().await;
    } else {
        let mut small = super::ctx::consumer(&bus, small, G, 16).await;
        let mut seen = 0;
        while seen < 30 {
            let batch = within(SOON, small.recv(16, LINGER))
                .await
                .expect("received");
            seen += batch.len();
            let acks = batch.into_iter().map(|d| (d.token, Verdict::Ack));
            small.settle(acks.collect()).await.expect("settled");
        }
    }
    within(SOON * 2, publishing).await.expect("joined");
}

/// Somebody deletes what stores a group's messages: the bus reports it or repairs it; it never waits in silence.
pub(crate) async fn a_deleted_group_is_reported_or_repaired(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    publish(&bus, SOLO, 0..3).await;
    Ledger::default().drain(&mut *consumer, 3).await;
    if let Some(server) = ctx.fixture.server() {
        server.delete(SOLO, G).await;
    }
    let mut publisher = publisher(&bus, SOLO).await;
    let publishing = tokio::spawn(async move {
        for n in 3..103 {
            // An error reports it, and that is enough.
            let Ok(receipt) = publisher.publish(vec![message(n)]).await else {
                return;
            };
            drop(timeout(SOON, receipt.into_future()).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let heard = within(SOON * 2, consumer.recv(16, LINGER)).await;
    if let Ok(batch) = &heard {
        assert!(!batch.is_empty());
    }
    publishing.abort();
}

pub(crate) async fn after_a_long_idle_it_delivers(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.lease_ms = 500).await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    assert_quiet(&mut *consumer, Duration::from_secs(4)).await;
    publish(&bus, SOLO, 0..5).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    ledger.assert_no_duplicates();
}

/// A dead letter written twice, because its writer died between receipt and ack, has the same id both times.
pub(crate) async fn a_dead_letter_written_twice_is_recognisable(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..1).await;
    let mut letters = Vec::new();
    for _ in 0..2 {
        let mut worker = consumer(&bus, SOLO, G, 4).await;
        let delivery = recv_one(&mut *worker).await;
        let letter = residual::bus::DeadLetter {
            message: delivery.message.clone(),
            reason: "bad".to_owned(),
            attempts: 1,
        };
        worker.dead_letter(vec![letter]).await.expect("buried");
        drop(worker);
    }
    let mut dead = consumer(&bus, &dead_topic(SOLO, G), DEAD_GROUP, 8).await;
    while let Ok(batch) = timeout(Duration::from_secs(1), dead.recv(8, LINGER)).await {
        for delivery in batch.expect("received") {
            letters.push((
                delivery.message.id,
                delivery.message.headers[ORIGINAL_ID].clone(),
            ));
            settle_one(&mut *dead, delivery.token, Verdict::Ack).await;
        }
    }
    letters.dedup();
    assert_eq!(letters.len(), 1, "{letters:?}");
}
