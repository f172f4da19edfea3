//! The raw ceiling of a broker: the same frames as the pipeline's, confirmed and durable, with no other work done on them.
//!
//! Without `--rate`: how many rows a second. Three topics, each with one publisher and one consumer of the client
//! library alone (no bus of ours between), all at once, as in the pipeline: features, true answers, predictions.
//!
//! With `--rate R`: how soon a row can be durable. Each frame has one row and goes the way it goes in the pipeline:
//! features to a task that answers them, the answer to a file that is synced, and the true answer beside it. Output:
//! p50, p99 and p99.9 in milliseconds.
//!
//!     cargo bench --bench ceiling -- amqp://guest:guest@127.0.0.1:5672 --rows 1000000 --frame 256
//!     cargo bench --bench ceiling -- nats://127.0.0.1:4222 --rows 20000 --rate 1000 --folder logs
#![expect(clippy::print_stdout, reason = "the result of a benchmark")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop there"
)]

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use residual::{
    clock::Clock,
    message::{Encoding, Features, IdSource, Prediction, Record, RunTag, Truth, encode},
};
use tokio::task::JoinSet;

use crate::lane::{Consumer, Lane, Publisher};

#[path = "ceiling/floor.rs"]
mod floor;
#[path = "ceiling/lane.rs"]
mod lane;
#[path = "ceiling/nats.rs"]
mod nats;
#[path = "ceiling/rabbitmq.rs"]
mod rabbitmq;

/// Frames that may be unconfirmed or unacknowledged at once: the pipeline's default windows.
const PUBLISH_WINDOW: usize = 512;
const CONSUME_WINDOW: u16 = 256;

/// Deliveries that are acknowledged together.
const ACK_EVERY: u64 = 32;

/// Features of the bundled rows.
const WIDTH: usize = 10;

const TOPICS: [&str; 3] = ["features", "y_true", "y_pred"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let number =
        |name: &str, default: u64| after(name).map_or(default, |text| text.parse().unwrap());
    let Some(url) = arguments.iter().find(|argument| argument.contains("://")) else {
        println!(
            "usage: cargo bench --bench ceiling -- URL [--rows N] [--frame N | --rate N --folder PATH]"
        );
        return;
    };
    let lanes = if url.starts_with("nats") {
        nats::lanes(url, &TOPICS).await
    } else {
        rabbitmq::lanes(url, &TOPICS).await
    };
    let lanes: [Lane; 3] = lanes.try_into().ok().unwrap();
    let (rows, rate) = (number("--rows", 1_000_000), number("--rate", 0));
    if rate > 0 {
        let folder = Path::new(after("--folder").unwrap_or("."));
        let [p50, p99, p999] = floor::latency_ms(lanes, rows, rate, folder).await;
        println!(
            r#"{{"rows": {rows}, "rate": {rate}, "latency_ms": [{p50:.2}, {p99:.2}, {p999:.2}]}}"#
        );
        return;
    }
    let frame_records = number("--frame", 256);
    let frames = rows.div_ceil(frame_records);
    let rows = frames * frame_records;
    let seconds = throughput(lanes, usize::try_from(frame_records).unwrap(), frames).await;
    let seconds = seconds.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let per_second = rows as f64 / seconds;
    println!(
        r#"{{"rows": {rows}, "frame_records": {frame_records}, "seconds": {seconds:.3}, "rows_per_second": {per_second:.0}}}"#
    );
}

/// One frame of each topic, as the services would write it.
fn bodies(records: usize) -> [Bytes; 3] {
    let mut ids = IdSource::new(RunTag(7), Clock::system());
    let ids: Vec<_> = (0..records).map(|_| ids.mint()).collect();
    let features: Vec<_> = ids
        .iter()
        .map(|id| Record {
            id: id.clone(),
            body: Features(vec![0.012_345_678_9; WIDTH]),
        })
        .collect();
    let truths: Vec<_> = ids
        .iter()
        .map(|id| Record {
            id: id.clone(),
            body: Truth(151.0),
        })
        .collect();
    let predictions: Vec<_> = ids
        .iter()
        .map(|id| Record {
            id: id.clone(),
            body: Prediction::new(206.117),
        })
        .collect();
    [
        encode(&features, Encoding::Postcard).body,
        encode(&truths, Encoding::Postcard).body,
        encode(&predictions, Encoding::Postcard).body,
    ]
}

async fn throughput(lanes: [Lane; 3], frame_records: usize, frames: u64) -> Duration {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (lane, body) in lanes.into_iter().zip(bodies(frame_records)) {
        tasks.spawn(publish(lane.publisher, body, frames));
        tasks.spawn(consume(lane.consumer, frames));
    }
    all(tasks).await;
    began.elapsed()
}

async fn all(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

async fn publish(mut publisher: Box<dyn Publisher>, body: Bytes, frames: u64) {
    let mut unconfirmed = VecDeque::new();
    for _ in 0..frames {
        unconfirmed.push_back(publisher.send(body.clone()).await);
        if unconfirmed.len() >= PUBLISH_WINDOW {
            unconfirmed.pop_front().unwrap().await;
        }
    }
    for confirmed in unconfirmed {
        confirmed.await;
    }
}

async fn consume(mut consumer: Box<dyn Consumer>, frames: u64) {
    for taken in 1..=frames {
        let (number, _) = consumer.next().await;
        if taken % ACK_EVERY == 0 || taken == frames {
            consumer.ack(number).await;
        }
    }
}
