//! How soon a row can be durable: the way through the pipeline, without its work.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::FuturesOrdered};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    all, bodies,
    lane::{Consumer, Lane, Publisher},
};

/// About as many bytes as a line of the log has.
const LINE: [u8; 80] = [b'.'; 80];

/// p50, p99 and p99.9 of rows that are sent at this rate.
pub(crate) async fn latency_ms(lanes: [Lane; 3], rows: u64, rate: u64, folder: &Path) -> [f64; 3] {
    let path = folder.join("ceiling.log");
    let file = Arc::new(File::create(&path).unwrap());
    let [features, truths, predictions] = lanes;
    let [_, truth, prediction] = bodies(1);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let halves = (features.publisher, truths.publisher);
    tasks.spawn(feed(halves, truth, rows, rate, begun));
    tasks.spawn(relay(
        features.consumer,
        predictions.publisher,
        prediction.len(),
        rows,
    ));
    tasks.spawn(forget(truths.consumer, rows));
    let mut took = record(predictions.consumer, file, rows, begun).await;
    all(tasks).await;
    std::fs::remove_file(path).unwrap();
    took.sort_unstable();
    [0.5, 0.99, 0.999].map(|q| took[quantile_at(took.len(), q)].as_secs_f64() * 1e3)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list of thousands"
)]
fn quantile_at(count: usize, q: f64) -> usize {
    ((count as f64 * q) as usize).min(count - 1)
}

/// A body of so many bytes that begins with the time.
fn stamped(begun: Instant, bytes: usize) -> Bytes {
    let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    let mut body = vec![0; bytes.max(8)];
    body[..8].copy_from_slice(&nanos.to_le_bytes());
    Bytes::from(body)
}

fn stamp_of(body: &[u8]) -> Duration {
    Duration::from_nanos(u64::from_le_bytes(body[..8].try_into().unwrap()))
}

async fn feed(
    halves: (Box<dyn Publisher>, Box<dyn Publisher>),
    truth: Bytes,
    rows: u64,
    rate: u64,
    begun: Instant,
) {
    let (mut features, mut truths) = halves;
    let size = bodies(1)[0].len();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut confirms = JoinSet::new();
    for _ in 0..rows {
        ticks.tick().await;
        let truth = truths.send(truth.clone()).await;
        let features = features.send(stamped(begun, size)).await;
        confirms.spawn(async move {
            tokio::join!(truth, features);
        });
        while let Some(Some(ended)) = confirms.join_next().now_or_never() {
            ended.unwrap();
        }
    }
    all(confirms).await;
}

/// Answers with the same time stamp; acknowledges what is confirmed.
async fn relay(
    mut features: Box<dyn Consumer>,
    mut predictions: Box<dyn Publisher>,
    bytes: usize,
    rows: u64,
) {
    let mut confirms = FuturesOrdered::new();
    let (mut taken, mut done) = (0, 0);
    while done < rows {
        tokio::select! {
            Some(number) = confirms.next() => {
                features.ack(number).await;
                done += 1;
            }
            (number, body) = features.next(), if taken < rows => {
                taken += 1;
                let mut answer = vec![0; bytes.max(8)];
                answer[..8].copy_from_slice(&body[..8]);
                let confirmed = predictions.send(Bytes::from(answer)).await;
                confirms.push_back(async move {
                    confirmed.await;
                    number
                });
            }
        }
    }
}

async fn forget(mut truths: Box<dyn Consumer>, rows: u64) {
    for _ in 0..rows {
        let (number, _) = truths.next().await;
        truths.ack(number).await;
    }
}

/// A line for each prediction, one sync for all that are there; how long each was on its way.
async fn record(
    mut predictions: Box<dyn Consumer>,
    file: Arc<File>,
    rows: u64,
    begun: Instant,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while (took.len() as u64) < rows {
        let mut group = vec![predictions.next().await];
        while (took.len() + group.len()) as u64 != rows
            && let Some(more) = predictions.next().now_or_never()
        {
            group.push(more);
        }
        let lines = LINE.repeat(group.len());
        let file = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || {
            (&*file).write_all(&lines).unwrap();
            file.sync_data().unwrap();
        });
        written.await.unwrap();
        let now = begun.elapsed();
        took.extend(
            group
                .iter()
                .map(|(_, body)| now.saturating_sub(stamp_of(body))),
        );
        let (last, _) = group[group.len() - 1];
        predictions.ack(last).await;
    }
    took
}
