//! Measurements, not tests: run them with
//! `cargo test --release --test it -- --ignored --nocapture ledger::scale`.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use residual::{
    bus::{self, Bus, Message, Topic, Topology},
    clock::Clock,
    message::{Body, Encoding, IdSource, Prediction, Record, RecordId, RunTag, Truth, encode},
    metric_log::RealDisk,
    services::metric::{
        self, Config, Kind, Ports, Progress, RunContext, Storage,
        ledger::{Flush, Ledger},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const START_MS: u64 = 1_700_000_000_000;

fn open(folder: &Path, config: &Config, now_ms: u64) -> Ledger {
    Ledger::open(
        Arc::new(RealDisk),
        folder,
        config.clone(),
        RunContext::default(),
        now_ms,
    )
    .unwrap()
}

/// Resident memory now and at its highest, in MiB.
fn memory_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    };
    (field("VmRSS"), field("VmHWM"))
}

fn clock() -> Clock {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { Clock::anchored(START_MS) })
}

#[test]
#[ignore = "a measurement"]
fn a_million_pending_halves() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default();
    let ids = |n: u32| {
        let id = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        RecordId::from(Uuid::from_u128(id))
    };
    let begun = Instant::now();
    let mut ledger = open(folder.path(), &config, START_MS);
    for group in 0..100 {
        ledger.begin(group);
        let first = u32::try_from(group).unwrap() * 10_000;
        for n in first..first + 10_000 {
            ledger.accept(
                group,
                Kind::Prediction,
                ids(n),
                f64::from(n),
                START_MS + group,
            );
        }
        ledger.commit(START_MS + group, Flush::All).unwrap();
    }
    println!(
        "filled in {:?}, memory now/peak {:?} MiB",
        begun.elapsed(),
        memory_mib()
    );
    drop(ledger);
    let begun = Instant::now();
    let mut ledger = open(folder.path(), &config, START_MS + 200);
    println!(
        "restart in {:?}, memory now/peak {:?} MiB",
        begun.elapsed(),
        memory_mib()
    );
    assert_eq!(ledger.progress().pending, 1_000_000);
    let begun = Instant::now();
    for group in 0..50 {
        ledger.begin(1_000 + group);
        let first = u32::try_from(group).unwrap() * 10_000;
        for n in first..first + 10_000 {
            ledger.accept(1_000 + group, Kind::Truth, ids(n), 1.0, START_MS + 300);
        }
        ledger.commit(START_MS + 300, Flush::Due).unwrap();
    }
    ledger.commit(START_MS + 300, Flush::All).unwrap();
    println!(
        "500,000 stored halves matched in {:?}, memory now/peak {:?} MiB",
        begun.elapsed(),
        memory_mib()
    );
    // As kill -9 leaves it: redb has to repair.
    std::mem::forget(ledger);
    let begun = Instant::now();
    let ledger = open(folder.path(), &config, START_MS + 400);
    println!(
        "restart after a kill in {:?} with {} pending and {} remembered",
        begun.elapsed(),
        ledger.progress().pending,
        ledger.seen_ids()
    );
}

#[test]
#[ignore = "a measurement"]
fn rows_a_second_of_the_ledger_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = IdSource::new(RunTag(1), clock());
    let mut ledger = open(folder.path(), &Config::default(), START_MS);
    for (rows, groups) in [(1_000, 500), (20_000, 100), (100_000, 20)] {
        let mut spent = Duration::ZERO;
        for delivery in 0..u64::try_from(groups).unwrap() {
            let batch: Vec<RecordId> = (0..rows).map(|_| ids.mint()).collect();
            let begun = Instant::now();
            ledger.begin(delivery);
            for (n, id) in (0..).zip(&batch) {
                ledger.accept(
                    delivery,
                    Kind::Truth,
                    id.clone(),
                    f64::from(n) * 0.37,
                    START_MS,
                );
            }
            for (n, id) in (0..).zip(batch) {
                ledger.accept(
                    delivery,
                    Kind::Prediction,
                    id,
                    f64::from(n) * 0.41,
                    START_MS,
                );
            }
            ledger.commit(START_MS, Flush::Due).unwrap();
            spent += begun.elapsed();
        }
        let a_second = f64::from(rows * groups) / spent.as_secs_f64();
        println!("groups of {rows} rows: {a_second:.0} rows/s, each durable");
        drop(ledger);
        ledger = open(folder.path(), &Config::default(), START_MS);
    }
}

#[test]
#[ignore = "a measurement"]
fn rows_a_second_of_the_service_on_the_memory_bus() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure_service());
}

async fn measure_service() {
    const FRAMES: u64 = 4_000;
    const RECORDS: u64 = 500;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::anchored(START_MS);
    let bus = bus::connect(&bus::Config::default(), clock, 0)
        .await
        .unwrap();
    let topics = ["y_true", "y_pred"].map(|name| Topic::new(name, &["metric"]));
    bus.declare(&Topology::with_dead_letters(topics.into()))
        .await
        .unwrap();
    let (sender, mut progress) = watch::channel(Progress::default());
    let ports = Ports {
        truths: bus.consumer("y_true", "metric", 256).await.unwrap(),
        predictions: bus.consumer("y_pred", "metric", 256).await.unwrap(),
        progress: sender,
    };
    let stop = CancellationToken::new();
    let storage = Storage::real(folder.path());
    let service = metric::run(
        ports,
        Config::default(),
        storage,
        RunContext::default(),
        clock,
        stop.clone(),
    );
    let service = tokio::spawn(service);
    let (truths, predictions) = frames(FRAMES, RECORDS, clock);
    let begun = Instant::now();
    let truths = tokio::spawn(send(Arc::clone(&bus), "y_true", truths));
    let predictions = tokio::spawn(send(bus, "y_pred", predictions));
    progress
        .wait_for(|progress| progress.rows == FRAMES * RECORDS)
        .await
        .unwrap();
    let spent = begun.elapsed();
    truths.await.unwrap();
    predictions.await.unwrap();
    stop.cancel();
    service.await.unwrap().unwrap();
    println!(
        "{} rows in {spent:?}, frames of {RECORDS}: {:.0} rows/s, memory now/peak {:?} MiB",
        FRAMES * RECORDS,
        2_000_000.0 / spent.as_secs_f64(),
        memory_mib()
    );
}

fn frames(number: u64, records: u64, clock: Clock) -> (Vec<Message>, Vec<Message>) {
    let mut ids = IdSource::new(RunTag(1), clock);
    let frame = |n: u64| -> (Message, Message) {
        let ids: Vec<RecordId> = (0..records).map(|_| ids.mint()).collect();
        let truths = ids.iter().map(|id| Record {
            id: id.clone(),
            body: Truth(151.0),
        });
        let predictions = ids.iter().map(|id| Record {
            id: id.clone(),
            body: Prediction::new(152.133_483_5),
        });
        (
            message(2 * n, &truths.collect::<Vec<_>>()),
            message(2 * n + 1, &predictions.collect::<Vec<_>>()),
        )
    };
    (0..number).map(frame).unzip()
}

fn message<B: Body>(n: u64, records: &[Record<B>]) -> Message {
    let frame = encode(records, Encoding::Postcard);
    Message::new(Uuid::from_u128(n.into()), frame.content_type, frame.body)
}

async fn send(bus: Arc<dyn Bus>, topic: &'static str, messages: Vec<Message>) {
    let mut publisher = bus.publisher(topic).await.unwrap();
    for some in messages.chunks(16) {
        publisher
            .publish(some.to_vec())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    publisher.close().await.unwrap();
}
