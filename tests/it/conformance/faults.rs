//! Laws about a broker that dies, hangs, vanishes, comes late, fills up or forgets, under load.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use residual::bus::{Bus, Link, Message, Verdict};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{
    ctx::{Ctx, G, SOLO, Server, consumer, publisher, topology, within},
    ledger::{
        LINGER, Ledger, QUIET, SOON, hold, ids, message, messages, number, publish, recv_one,
        settle_one,
    },
};

/// Long enough for a broker to start and for everybody to find it again.
const RECOVERY: Duration = Duration::from_secs(60);

fn server(ctx: &Ctx) -> &dyn Server {
    ctx.fixture
        .server()
        .expect("a broker with a process of its own")
}

/// Publishes in small batches until told to stop; returns the ids whose receipts resolved.
fn publishing(bus: &Arc<dyn Bus>, stop: &Arc<AtomicBool>) -> JoinHandle<BTreeSet<Uuid>> {
    let (bus, stop) = (Arc::clone(bus), Arc::clone(stop));
    tokio::spawn(async move {
        let mut publisher = publisher(&bus, SOLO).await;
        let mut confirmed = BTreeSet::new();
        let mut next = 0;
        while !stop.load(Ordering::Relaxed) {
            let batch = messages(next..next + 10);
            let sent: Vec<Uuid> = batch.iter().map(|message: &Message| message.id).collect();
            let receipt = publisher.publish(batch).await.expect("published");
            next += 10;
            within(RECOVERY, receipt.into_future())
                .await
                .expect("receipt");
            confirmed.extend(sent);
            sleep(Duration::from_millis(2)).await;
        }
        publisher.close().await.expect("closed");
        confirmed
    })
}

/// Receives and acks, whatever becomes of the acks, until everything confirmed was seen.
async fn consume_until(
    consumer: &mut dyn residual::bus::Consumer,
    confirmed: &BTreeSet<Uuid>,
    seen: &mut BTreeSet<Uuid>,
) {
    let all = async {
        while !confirmed.is_subset(seen) {
            consume_some(consumer, seen).await;
        }
    };
    if timeout(RECOVERY, all).await.is_err() {
        let lost: Vec<_> = confirmed.difference(seen).collect();
        panic!("{} confirmed messages were lost: {lost:?}", lost.len());
    }
}

async fn consume_some(consumer: &mut dyn residual::bus::Consumer, seen: &mut BTreeSet<Uuid>) {
    let batch = consumer.recv(64, LINGER).await.expect("received");
    let mut verdicts = Vec::new();
    for delivery in batch {
        seen.insert(delivery.message.id);
        verdicts.push((delivery.token, Verdict::Ack));
    }
    consumer.settle(verdicts).await.expect("settled");
}

/// Confirmed minus seen is empty, whatever `trouble` does to the broker.
async fn nothing_is_lost_under(ctx: &Ctx, trouble: impl Future<Output = ()>) {
    let bus = ctx.bus_with(|config| config.attempts_max = 30).await;
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = publishing(&bus, &stop);
    let consuming = {
        let (bus, stop) = (Arc::clone(&bus), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut consumer = consumer(&bus, SOLO, G, 32).await;
            let mut seen = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                // The timeout drops `recv` in every state that it can be in.
                let received = timeout(
                    Duration::from_millis(50),
                    consume_some(&mut *consumer, &mut seen),
                );
                received.await.ok();
            }
            (consumer, seen)
        })
    };
    sleep(Duration::from_millis(300)).await;
    trouble.await;
    sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let confirmed = within(RECOVERY, publishing).await.expect("publishing");
    let (mut consumer, mut seen) = within(RECOVERY, consuming).await.expect("consuming");
    assert!(
        confirmed.len() >= 20,
        "only {} were confirmed",
        confirmed.len()
    );
    consume_until(&mut *consumer, &confirmed, &mut seen).await;
    consumer.close().await.expect("closed");
    assert_eq!(bus.depth(SOLO, G).await.expect("depth").dead, 0);
}

async fn until_up(bus: &Arc<dyn Bus>) {
    let mut link = bus.link();
    within(RECOVERY, link.wait_for(|link| *link == Link::Up))
        .await
        .expect("a link");
}

async fn until_down(bus: &Arc<dyn Bus>, limit: Duration) {
    let mut link = bus.link();
    within(
        limit,
        link.wait_for(|link| matches!(link, Link::Down { .. })),
    )
    .await
    .expect("a link");
}

pub(super) async fn a_receipt_survives_kill9_of_the_broker(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..200).await;
    server(ctx).kill9().await;
    server(ctx).start().await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    within(RECOVERY, ledger.drain(&mut *consumer, 200)).await;
    assert_eq!(ledger.ids(), ids(0..200));
    ledger.assert_no_duplicates();
}

pub(super) async fn three_restarts_in_order_lose_nothing(ctx: &Ctx) {
    nothing_is_lost_under(ctx, async {
        for _ in 0..3 {
            ctx.fixture.restart().await;
            sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

pub(super) async fn kill9_of_the_broker_loses_nothing(ctx: &Ctx) {
    nothing_is_lost_under(ctx, async {
        for _ in 0..2 {
            server(ctx).kill9().await;
            server(ctx).start().await;
            sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

pub(super) async fn a_link_cut_many_times_loses_nothing(ctx: &Ctx) {
    nothing_is_lost_under(ctx, async {
        for _ in 0..8 {
            server(ctx).cut().await;
            sleep(Duration::from_millis(60)).await;
            server(ctx).heal().await;
            sleep(Duration::from_millis(400)).await;
        }
    })
    .await;
}

pub(super) async fn a_broker_that_hangs_loses_nothing(ctx: &Ctx) {
    nothing_is_lost_under(ctx, async {
        server(ctx).pause().await;
        sleep(Duration::from_secs(20)).await;
        server(ctx).resume().await;
    })
    .await;
}

pub(super) async fn a_half_open_link_is_noticed(ctx: &Ctx) {
    let bus = ctx.bus().await;
    until_up(&bus).await;
    server(ctx).swallow().await;
    let begun = Instant::now();
    until_down(&bus, Duration::from_secs(30)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(22),
        "{:?}",
        begun.elapsed()
    );
    server(ctx).heal().await;
    until_up(&bus).await;
    publish(&bus, SOLO, 0..10).await;
}

pub(super) async fn a_broker_that_comes_late_is_waited_for(ctx: &Ctx) {
    let (config, late) = server(ctx).absent().await;
    let bus = within(SOON, ctx.fixture.connect(config))
        .await
        .expect("connect");
    let declaring = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.declare(&topology()).await })
    };
    sleep(Duration::from_secs(1)).await;
    assert!(!declaring.is_finished(), "declared on nothing");
    assert!(matches!(
        &*bus.link().borrow(),
        Link::Down { tries: 1.., .. }
    ));
    late.start().await;
    within(RECOVERY, declaring)
        .await
        .expect("joined")
        .expect("declared");
    publish(&bus, SOLO, 0..10).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 10).await;
}

/// Also: while the broker is away a publisher waits as soon as its window is full, so memory stays flat.
pub(super) async fn an_outage_longer_than_any_backoff_is_outlived(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.publish_window = 8).await;
    let mut out = publisher(&bus, SOLO).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    server(ctx).kill9().await;
    until_down(&bus, SOON).await;
    let first = out
        .publish(messages(0..8))
        .await
        .expect("within the window");
    let blocked = timeout(Duration::from_secs(5), out.publish(messages(8..9))).await;
    assert!(
        blocked.is_err(),
        "the window does not bound what waits for the broker"
    );
    server(ctx).start().await;
    within(RECOVERY, first.into_future())
        .await
        .expect("receipt");
    let second = out.publish(messages(8..9)).await.expect("published");
    within(SOON, second.into_future()).await.expect("receipt");
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 9).await;
    ledger.assert_no_duplicates();
}

pub(super) async fn an_ack_is_final_after_a_reconnect(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..20).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 20).await;
    // An ack is sent, not answered: the depth is the answer.
    super::ledger::until_depth(&bus, (SOLO, G), |depth| depth.ready + depth.in_flight == 0).await;
    server(ctx).cut().await;
    until_down(&bus, SOON).await;
    server(ctx).heal().await;
    until_up(&bus).await;
    super::ledger::assert_quiet(&mut *consumer, Duration::from_secs(3)).await;
}

pub(super) async fn tokens_of_a_lost_link_are_stale_and_the_window_holds(ctx: &Ctx) {
    const WINDOW: usize = 4;
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..12).await;
    let mut consumer = consumer(&bus, SOLO, G, WINDOW).await;
    let held = hold(&mut *consumer, WINDOW).await;
    let first: BTreeSet<u64> = held.iter().map(number).collect();
    server(ctx).cut().await;
    until_down(&bus, SOON).await;
    server(ctx).heal().await;
    until_up(&bus).await;
    let verdicts = held
        .into_iter()
        .map(|delivery| (delivery.token, Verdict::Ack));
    let settled = consumer.settle(verdicts.collect()).await.expect("settled");
    assert_eq!((settled.ok, settled.stale), (0, WINDOW));
    let mut again = BTreeSet::new();
    let mut most = 0;
    let mut holding = Vec::new();
    while again.len() < 12 {
        let batch = within(SOON, consumer.recv(64, QUIET))
            .await
            .expect("received");
        most = most.max(batch.len() + holding.len());
        again.extend(batch.iter().map(number));
        holding.extend(
            batch
                .into_iter()
                .map(|delivery| (delivery.token, Verdict::Ack)),
        );
        if holding.len() >= WINDOW || again.len() == 12 || again.is_superset(&first) {
            consumer
                .settle(std::mem::take(&mut holding))
                .await
                .expect("settled");
        } else if !holding.is_empty() {
            let one = holding.remove(0);
            consumer.settle(vec![one]).await.expect("settled");
        }
    }
    assert!(most <= WINDOW, "{most} held with a window of {WINDOW}");
}

pub(super) async fn attempts_survive_a_restart_of_the_broker(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..1).await;
    let mut first = consumer(&bus, SOLO, G, 4).await;
    for attempt in 1..=2 {
        let delivery = recv_one(&mut *first).await;
        assert_eq!(delivery.attempt, attempt);
        settle_one(&mut *first, delivery.token, Verdict::Retry(Duration::ZERO)).await;
    }
    first.close().await.expect("closed");
    ctx.fixture.restart().await;
    let mut second = consumer(&bus, SOLO, G, 4).await;
    let delivery = within(RECOVERY, recv_one(&mut *second)).await;
    let survived = bus.capabilities().attempts_survive_restart;
    assert_eq!(
        delivery.attempt >= 3,
        survived,
        "attempt {}",
        delivery.attempt
    );
    settle_one(&mut *second, delivery.token, Verdict::Ack).await;
}

pub(super) async fn a_deleted_group_is_loud_and_made_anew(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    publish(&bus, SOLO, 0..5).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    server(ctx).delete(SOLO, G).await;
    until_down(&bus, SOON).await;
    until_up(&bus).await;
    publish(&bus, SOLO, 5..10).await;
    ledger.drain(&mut *consumer, 10).await;
}

/// Nobody consumes: only the patrol can notice.
pub(super) async fn a_group_deleted_unseen_is_made_anew(ctx: &Ctx) {
    let bus = ctx.bus().await;
    server(ctx).delete(SOLO, G).await;
    until_down(&bus, SOON).await;
    until_up(&bus).await;
    publish(&bus, SOLO, 0..5).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
}

pub(super) async fn a_full_broker_blocks_publishers_and_not_acks(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..20).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    server(ctx).fill().await;
    let mut out = publisher(&bus, SOLO).await;
    let receipt = out.publish(vec![message(20)]).await.expect("published");
    let mut receipt = receipt.into_future();
    let early = timeout(Duration::from_secs(2), &mut receipt).await;
    assert!(early.is_err(), "a broker without room confirmed: {early:?}");
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 20).await;
    super::ledger::until_depth(&bus, (SOLO, G), |depth| depth.ready + depth.in_flight == 0).await;
    server(ctx).free().await;
    within(RECOVERY, receipt).await.expect("receipt");
    ledger.drain(&mut *consumer, 21).await;
    ledger.assert_no_duplicates();
}

pub(super) async fn dead_letters_are_not_lost_with_the_broker(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.attempts_max = 30).await;
    publish(&bus, SOLO, 0..40).await;
    let burying = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            let mut consumer = consumer(&bus, SOLO, G, 16).await;
            loop {
                let batch = consumer.recv(4, LINGER).await.expect("received");
                let verdicts = batch
                    .into_iter()
                    .map(|delivery| (delivery.token, Verdict::Dead("bad".to_owned())));
                consumer.settle(verdicts.collect()).await.expect("settled");
            }
        })
    };
    sleep(Duration::from_millis(30)).await;
    server(ctx).kill9().await;
    server(ctx).start().await;
    // A copy may be there twice, but each of the forty is there, and nothing is left behind.
    let all_dead = async {
        loop {
            let depth = bus.depth(SOLO, G).await.expect("depth");
            if depth.dead >= 40 && depth.ready + depth.in_flight == 0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(RECOVERY, all_dead).await;
    burying.abort();
    let mut letters = consumer(&bus, "solo.g.dead", "redrive", 16).await;
    let mut numbers = BTreeSet::new();
    while numbers.len() < 40 {
        let delivery = recv_one(&mut *letters).await;
        numbers.insert(number(&delivery));
        settle_one(&mut *letters, delivery.token, Verdict::Ack).await;
    }
    assert_eq!(numbers, (0..40).collect());
}

pub(super) async fn after_a_long_silence_it_still_delivers(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let link = bus.link();
    timeout(Duration::from_secs(12), consumer.recv(1, LINGER))
        .await
        .expect_err("nothing was sent");
    assert!(
        !link.has_changed().expect("a link"),
        "the silence broke the link"
    );
    publish(&bus, SOLO, 0..5).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    ledger.assert_no_duplicates();
}
