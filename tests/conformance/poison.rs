//! Laws of poison: what cannot be processed becomes a dead letter alone, with the reason, and can be sent back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use residual::bus::{
    Bus, Consumer, DeadLetter, Delivery, Verdict,
    settle::dead::{ATTEMPTS, FIRST_SEEN_MS, GROUP, ORIGINAL_ID, REASON, TOPIC},
    topology::{DEAD_GROUP, dead_topic},
};
use tokio::time::timeout;

use super::{
    ctx::{A, B, Ctx, G, SHARED, SMALL, SOLO, consumer, publisher},
    ledger::{
        Ledger, QUIET, assert_quiet, hold, ids, message, number, publish, recv, recv_one,
        settle_one, until_depth,
    },
};

async fn letters(ctx: &Ctx, topic: &str, group: &str) -> Box<dyn Consumer> {
    let bus = ctx.bus().await;
    consumer(&bus, &dead_topic(topic, group), DEAD_GROUP, 64).await
}

pub(crate) async fn a_dead_letter_carries_reason_attempts_and_origin(ctx: &Ctx) {
    let bus = ctx.bus().await;
    let mut publisher = publisher(&bus, SOLO).await;
    let mut poison = message(0);
    poison.headers.insert("kept".to_owned(), "yes".to_owned());
    let receipt = publisher
        .publish(vec![poison.clone()])
        .await
        .expect("published");
    receipt.await.expect("receipt");
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    let first = recv_one(&mut *consumer).await;
    settle_one(&mut *consumer, first.token, Verdict::Retry(Duration::ZERO)).await;
    let second = recv_one(&mut *consumer).await;
    let reason = "row 3: `age` is\nnot a number".to_owned();
    settle_one(&mut *consumer, second.token, Verdict::Dead(reason)).await;

    let letter = recv_one(&mut *letters(ctx, SOLO, G).await).await.message;
    assert_ne!(letter.id, poison.id, "the letter needs an id of its own");
    assert_eq!(
        (&letter.body, &letter.content_type),
        (&poison.body, &poison.content_type)
    );
    let header = |name: &str| letter.headers.get(name).map_or("", String::as_str);
    assert_eq!(header(REASON), "row 3: `age` is not a number");
    assert_eq!(
        (header(ATTEMPTS), header(TOPIC), header(GROUP)),
        ("2", SOLO, G)
    );
    assert_eq!(header(ORIGINAL_ID), poison.id.to_string());
    assert_eq!(header("kept"), "yes");
    assert!(header(FIRST_SEEN_MS).parse::<u64>().expect("a time") > 0);
    assert_quiet(&mut *consumer, QUIET).await;
}

/// A bad record of a frame becomes a dead letter while its frame goes on; so does a bad message among its neighbours.
pub(crate) async fn a_bad_record_dies_alone(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..10).await;
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    let held = hold(&mut *consumer, 10).await;
    let mut parts = Vec::new();
    for part in ["a", "b"] {
        let mut record = held[0].message.clone();
        record.body = Bytes::from(part);
        parts.push(DeadLetter {
            message: record,
            reason: format!("record {part} is bad"),
            attempts: 1,
        });
    }
    consumer.dead_letter(parts).await.expect("buried");
    let verdict = |delivery: &Delivery| match number(delivery) {
        4 => Verdict::Dead("bad".to_owned()),
        _ => Verdict::Ack,
    };
    let verdicts = held
        .into_iter()
        .map(|d| (verdict(&d), d))
        .map(|(v, d)| (d.token, v));
    let settled = consumer.settle(verdicts.collect()).await.expect("settled");
    assert_eq!((settled.ok, settled.stale), (10, 0));
    let dead = hold(&mut *letters(ctx, SOLO, G).await, 3).await;
    let reasons: BTreeMap<&str, &[u8]> = dead
        .iter()
        .map(|d| (d.message.headers[REASON].as_str(), d.message.body.as_ref()))
        .collect();
    let expected: [(&str, &[u8]); 3] = [
        ("bad", b"4"),
        ("record a is bad", b"a"),
        ("record b is bad", b"b"),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert_quiet(&mut *consumer, QUIET).await;
}

pub(crate) async fn past_the_cap_it_is_dead_without_being_handed_out(ctx: &Ctx) {
    let bus = ctx.bus_with(|config| config.attempts_max = 3).await;
    publish(&bus, SOLO, 0..1).await;
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    for attempt in 1..=3 {
        let delivery = recv_one(&mut *consumer).await;
        assert_eq!(delivery.attempt, attempt);
        settle_one(
            &mut *consumer,
            delivery.token,
            Verdict::Retry(Duration::ZERO),
        )
        .await;
    }
    assert_quiet(&mut *consumer, QUIET).await;
    let letter = recv_one(&mut *letters(ctx, SOLO, G).await).await;
    assert_eq!(letter.message.headers[ATTEMPTS], "3");
    until_depth(&bus, (SOLO, G), |d| {
        d.ready + d.in_flight == 0 && d.dead == 1
    })
    .await;
}

pub(crate) async fn what_came_back_is_handed_out_alone(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SOLO, 0..6).await;
    let mut first = consumer(&bus, SOLO, G, 16).await;
    let held = hold(&mut *first, 3).await;
    assert_eq!(held.len(), 3);
    drop((held, first));
    let mut second = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    while ledger.seen.len() < 6 {
        let batch = recv(&mut *second, 16).await;
        if batch.iter().any(|delivery| delivery.attempt > 1) {
            assert_eq!(batch.len(), 1, "{batch:?}");
        }
        ledger.ack(&mut *second, batch).await;
    }
    assert_eq!(ledger.ids(), ids(0..6));
}

/// Fills a topic that nobody reads, with ever smaller messages, until the smallest has to wait.
async fn fill(bus: &Arc<dyn Bus>, topic: &str) {
    let mut n = 1_000;
    for size in [8 << 10, 1 << 10, 16] {
        // A message that waits keeps its place before all that follow it, so the smaller ones go through another publisher.
        let mut publisher = publisher(bus, topic).await;
        loop {
            n += 1;
            let mut filler = message(n);
            filler.body = Bytes::from(vec![b'x'; size]);
            let Ok(receipt) = timeout(QUIET, publisher.publish(vec![filler])).await else {
                break;
            };
            let receipt = receipt.expect("published").into_future();
            if timeout(QUIET, receipt).await.is_err() {
                break;
            }
        }
    }
}

/// While the topic of the dead letters is full, writing one waits and the original is kept; the ack beside it does not
/// wait.
pub(crate) async fn an_unwritable_dead_letter_keeps_the_original(ctx: &Ctx) {
    let bus = ctx.bus().await;
    fill(&bus, &dead_topic(SMALL, G)).await;
    publish(&bus, SMALL, 0..2).await;
    let mut worker = consumer(&bus, SMALL, G, 4).await;
    let mut held = hold(&mut *worker, 2).await;
    let (poison, good) = (held.remove(0), held.remove(0));
    let verdicts = vec![
        (poison.token, Verdict::Dead("x".repeat(400))),
        (good.token, Verdict::Ack),
    ];
    let settling = timeout(Duration::from_secs(1), worker.settle(verdicts)).await;
    assert!(
        settling.is_err(),
        "written where there is no room: {settling:?}"
    );
    until_depth(&bus, (SMALL, G), |d| d.ready + d.in_flight == 1).await;
    drop(worker);
    let mut second = consumer(&bus, SMALL, G, 4).await;
    let back = recv_one(&mut *second).await;
    assert_eq!(number(&back), 0);
    // A consumer that is dropped without a stop may have been given it once more on its way out.
    assert!((2..=3).contains(&back.attempt), "attempt {}", back.attempt);
    // As soon as there is room, the dead letter is written.
    let mut letters = letters(ctx, SMALL, G).await;
    let burying = vec![(back.token, Verdict::Dead("bad".to_owned()))];
    let making_room = async {
        while let Ok(batch) = timeout(Duration::from_secs(2), letters.recv(8, QUIET)).await {
            let batch = batch.expect("received");
            let found = batch.iter().any(|d| d.message.headers.contains_key(REASON));
            let acks = batch.into_iter().map(|d| (d.token, Verdict::Ack));
            letters.settle(acks.collect()).await.expect("settled");
            if found {
                return true;
            }
        }
        false
    };
    let (settled, found) = tokio::join!(second.settle(burying), making_room);
    assert_eq!(settled.expect("settled").ok, 1);
    assert!(found, "settled as dead, and no letter was written");
    assert_quiet(&mut *second, QUIET).await;
}

pub(crate) async fn redriven_letters_are_processed_by_their_group_only(ctx: &Ctx) {
    let bus = ctx.bus().await;
    publish(&bus, SHARED, 0..4).await;
    let mut a = consumer(&bus, SHARED, A, 8).await;
    let mut b = consumer(&bus, SHARED, B, 8).await;
    Ledger::default().drain(&mut *b, 4).await;
    let held = hold(&mut *a, 4).await;
    let dead = held
        .into_iter()
        .map(|d| (d.token, Verdict::Dead("no".to_owned())));
    a.settle(dead.collect()).await.expect("settled");
    until_depth(&bus, (SHARED, A), |depth| depth.dead == 4).await;
    assert_eq!(bus.redrive(SHARED, A).await.expect("redriven"), 4);
    assert_eq!(bus.redrive(SHARED, A).await.expect("nothing is left"), 0);
    let mut again = Ledger::default();
    again.drain(&mut *a, 4).await;
    assert_eq!(again.order, [0, 1, 2, 3]);
    assert!(
        again.ids().is_disjoint(&ids(0..4)),
        "redriven under new ids"
    );
    assert_quiet(&mut *b, QUIET).await;
    let is_empty = |depth: residual::bus::Depth| {
        depth.ready + depth.in_flight + depth.elsewhere.unwrap_or(0) + depth.dead == 0
    };
    until_depth(&bus, (SHARED, A), is_empty).await;
    until_depth(&bus, (SHARED, B), is_empty).await;
}
