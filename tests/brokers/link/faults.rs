//! More laws of outages, for brokers that are a process of their own, reached by a link.

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
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::conformance::{
    ctx::{Ctx, G, SOLO, Server, consumer, publisher, within},
    ledger::{LINGER, Ledger, QUIET, SOON, hold, messages, number, publish},
};

/// Long enough for a broker to start and for everybody to find it again.
const RECOVERY: Duration = Duration::from_secs(60);

fn server(ctx: &Ctx) -> &dyn Server {
    ctx.fixture
        .server()
        .expect("a broker with a process of its own")
}

/// Publishes in small batches until it is asked to stop.
struct Publishing {
    stop: Arc<AtomicBool>,
    count: watch::Receiver<usize>,
    /// Ends with the ids whose receipts resolved.
    task: JoinHandle<BTreeSet<Uuid>>,
}

impl Publishing {
    fn start(bus: &Arc<dyn Bus>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, count) = watch::channel(0);
        let task = tokio::spawn(publish_until(Arc::clone(bus), Arc::clone(&stop), counted));
        Self { stop, count, task }
    }

    /// Waits until so many more are confirmed than now.
    async fn until_confirmed(&mut self, more: usize) {
        let goal = *self.count.borrow() + more;
        within(RECOVERY, self.count.wait_for(|count| *count >= goal))
            .await
            .expect("it publishes");
    }
}

async fn publish_until(
    bus: Arc<dyn Bus>,
    stop: Arc<AtomicBool>,
    counted: watch::Sender<usize>,
) -> BTreeSet<Uuid> {
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
        counted.send_replace(confirmed.len());
        sleep(Duration::from_millis(2)).await;
    }
    publisher.close().await.expect("closed");
    confirmed
}

/// Receives and acks until everything confirmed was seen; the acks may fail.
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

/// SIGSTOP for longer than anybody waits for a sign of life: confirmed minus seen is empty.
pub(crate) async fn a_broker_that_hangs_loses_nothing(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.attempts_max = 30).await;
    let mut publishing = Publishing::start(&bus);
    let consuming = {
        let (bus, stop) = (Arc::clone(&bus), Arc::clone(&publishing.stop));
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
    publishing.until_confirmed(20).await;
    server(ctx).pause().await;
    sleep(Duration::from_secs(20)).await;
    server(ctx).resume().await;
    publishing.until_confirmed(20).await;
    publishing.stop.store(true, Ordering::Relaxed);
    let confirmed = within(RECOVERY, publishing.task).await.expect("publishing");
    let (mut consumer, mut seen) = within(RECOVERY, consuming).await.expect("consuming");
    consume_until(&mut *consumer, &confirmed, &mut seen).await;
    consumer.close().await.expect("closed");
    assert_eq!(bus.depth(SOLO, G).await.expect("depth").dead, 0);
}

pub(crate) async fn tokens_of_a_lost_link_are_stale_and_the_window_holds(ctx: &Ctx) {
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

/// Nobody consumes: only the periodic check of the topology can notice.
pub(crate) async fn a_group_deleted_unseen_is_made_anew(ctx: &Ctx) {
    let bus = ctx.bus().await;
    server(ctx).delete(SOLO, G).await;
    until_down(&bus, SOON).await;
    until_up(&bus).await;
    publish(&bus, SOLO, 0..5).await;
    let mut consumer = consumer(&bus, SOLO, G, 32).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
}
