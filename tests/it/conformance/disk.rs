//! What only the embedded broker on disk has to show: its own file, its own disk.

use std::{collections::BTreeSet, process::Command, time::Duration};

use residual::bus::{BusError, Config, Verdict};
use tokio::time::timeout;

use super::{
    ctx::{Ctx, G, SOLO, consumer, hurried},
    embedded::durable,
    ledger::{LINGER, number, publish, recv_one},
    worker::{Habit, Role, Worker},
};

async fn ctx() -> Ctx {
    Ctx::new(Box::new(durable().await))
}

async fn drain(ctx: &Ctx) -> BTreeSet<u64> {
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

/// Waits until the link is down and nothing has been confirmed for a while; returns how many were. Opening the file
/// anew may find a little room once more.
async fn until_stuck(worker: &Worker) -> usize {
    loop {
        worker.until(|log| log.downs > log.ups).await;
        let before = worker.log().clone();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = worker.log().clone();
        if after.confirmed.len() == before.confirmed.len() && after.ups == before.ups {
            return after.confirmed.len();
        }
    }
}

/// A disk without room is an outage: publishers wait, the link says so, and it heals by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_publishers_wait_and_heals() {
    let ctx = ctx().await;
    let roles = vec![Role::publish(SOLO, 0).wide(8 << 10)];
    let limit = "trap '' XFSZ; ulimit -S -f 16384;";
    let mut worker = Worker::start_in(&ctx, ctx.fixture.config(), roles, limit).await;
    let stuck = until_stuck(&worker).await;
    let pid = worker.pid().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit is there").success());
    worker
        .until(|log| log.ups == log.downs && log.confirmed.len() > stuck + 50)
        .await;
    worker.kill9();
    let confirmed = worker.log().confirmed.clone();
    let seen = drain(&ctx).await;
    let lost: Vec<_> = confirmed.difference(&seen).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_and_told_what_to_do() {
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
async fn a_path_that_cannot_be_is_named_with_the_mend() {
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

/// Attempts and the done of one of two groups are on disk; a delay is not.
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
