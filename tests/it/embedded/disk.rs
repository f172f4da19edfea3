//! Laws of the embedded broker on disk alone: it has a file of its own.

use std::{collections::BTreeSet, time::Duration};

use residual::bus::{BusError, Config, Verdict};
use tokio::time::timeout;

use super::durable;
use crate::conformance::{
    ctx::{Ctx, G, SOLO, consumer, hurried},
    ledger::{LINGER, number, publish, recv_one},
    worker::{Habit, Role, Worker},
};

pub(super) async fn ctx() -> Ctx {
    Ctx::new(Box::new(durable().await))
}

pub(super) async fn drain(ctx: &Ctx) -> BTreeSet<u64> {
    let bus = ctx.bus().await;
    let mut consumer = consumer(&bus, SOLO, G, 64).await;
    let mut seen = BTreeSet::new();
    while let Ok(batch) = timeout(Duration::from_millis(500), consumer.recv(64, LINGER)).await {
        let mut verdicts = Vec::new();
        for delivery in batch.expect("received") {
            seen.insert(number(&delivery));
            verdicts.push((delivery.token, Verdict::Ack));
        }
        consumer.settle(verdicts).await.expect("settled");
    }
    seen
}

/// Other brokers may forget the acks of the last instant; this one has said `ok` only after the fsync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_stays_acked_after_kill9() {
    let ctx = ctx().await;
    let roles = vec![Role::publish(SOLO, 0), Role::consume(SOLO, G, Habit::Ack)];
    let mut worker = Worker::start(&ctx, ctx.fixture.config(), roles).await;
    worker.until(|log| log.acked_by(G).len() >= 200).await;
    worker.kill9();
    let left = drain(&ctx).await;
    let log = worker.log();
    let acked = log.acked_by(G);
    assert!(left.is_disjoint(&acked), "{:?}", left.intersection(&acked));
    let lost: Vec<_> = log
        .confirmed
        .iter()
        .filter(|n| !acked.contains(n) && !left.contains(n))
        .collect();
    let seen = log.seen_by(G);
    // What was seen and not said to be acked may have been acked in the instant of the death.
    assert!(lost.iter().all(|n| seen.contains(n)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_with_a_remedy() {
    let ctx = ctx().await;
    let roles = vec![Role::publish(SOLO, 1)];
    let worker = Worker::start(&ctx, ctx.fixture.config(), roles).await;
    let refused = ctx.fixture.connect(ctx.fixture.config()).await;
    let error = refused.expect_err("the worker has it open");
    assert!(
        matches!(error, BusError::Refused { .. }) && error.is_configuration(),
        "{error}"
    );
    let path = ctx.fixture.config().url.replace("embedded:", "");
    assert!(error.to_string().contains(&path), "{error}");
    assert!(error.to_string().contains("embedded:OTHER"), "{error}");
    drop(worker);
}

async fn refused(url: &str) -> BusError {
    let opened = residual::bus::connect(
        &hurried(url),
        residual::clock::Clock::system(),
        residual::bus::random_seed(),
    )
    .await;
    opened.expect_err("it cannot be opened")
}

#[tokio::test]
async fn an_unusable_path_is_named_with_a_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").expect("written");
    let error = refused(&format!("embedded:{}", file.display())).await;
    assert!(
        error.to_string().contains(&*file.to_string_lossy()),
        "{error}"
    );
    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).expect("created");
    std::fs::write(foreign.join("bus.redb"), vec![7; 64 << 10]).expect("written");
    let error = refused(&format!("embedded:{}", foreign.display())).await;
    assert!(
        error.to_string().contains("move the directory away"),
        "{error}"
    );
}

/// Attempts are on disk; a delay is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_ends_delays_and_keeps_attempts() {
    let fixture = durable().await;
    let ctx = Ctx::new(Box::new(fixture));
    let bus = ctx
        .bus_with(|config: &mut Config| config.attempts_max = 9)
        .await;
    publish(&bus, SOLO, 0..1).await;
    let mut first = consumer(&bus, SOLO, G, 4).await;
    let delivery = recv_one(&mut *first).await;
    let hour = Verdict::Retry(Duration::from_secs(3_600));
    first
        .settle(vec![(delivery.token, hour)])
        .await
        .expect("settled");
    drop(first);
    ctx.fixture.restart().await;
    let bus = ctx.bus().await;
    let mut second = consumer(&bus, SOLO, G, 4).await;
    assert_eq!(recv_one(&mut *second).await.attempt, 2);
}
