//! The raw ceiling of a broker: the same frames as the pipeline's, confirmed and durable, with no work done on them.
//!
//! Three topics, each with one publisher and one consumer of the client library alone (no bus of ours between), all at
//! once, as in the pipeline: features, true answers, predictions. Output: one JSON object with rows a second.
//!
//!     cargo bench --bench ceiling -- amqp://guest:guest@127.0.0.1:5672 --rows 1000000 --frame 256
#![expect(clippy::print_stdout, reason = "the result of a benchmark")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop there"
)]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use residual::{
    clock::Clock,
    message::{Encoding, Features, IdSource, Prediction, Record, RunTag, Truth, encode},
};
use tokio::task::JoinSet;

/// Frames that may be unconfirmed or unacknowledged at once: the pipeline's default windows.
const PUBLISH_WINDOW: usize = 512;
const CONSUME_WINDOW: u16 = 256;

/// Deliveries acknowledged in one go.
const ACK_EVERY: u64 = 32;

/// Features of the bundled rows.
const WIDTH: usize = 10;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let after = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let Some(url) = arguments.iter().find(|argument| argument.contains("://")) else {
        println!("usage: cargo bench --bench ceiling -- URL [--rows N] [--frame N]");
        return;
    };
    let frame_records = after("--frame", 256);
    let frames = after("--rows", 1_000_000).div_ceil(frame_records);
    let bodies = bodies(usize::try_from(frame_records).unwrap());
    let seconds = if url.starts_with("nats") {
        nats(url, &bodies, frames).await
    } else {
        rabbitmq(url, &bodies, frames).await
    };
    let rows = frames * frame_records;
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let per_second = rows as f64 / seconds.as_secs_f64();
    let seconds = seconds.as_secs_f64();
    println!(
        r#"{{"rows": {rows}, "frame_records": {frame_records}, "seconds": {seconds:.3}, "rows_per_second": {per_second:.0}}}"#
    );
}

/// One frame of each topic, as the services would write it.
fn bodies(records: usize) -> [(&'static str, Bytes); 3] {
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
        ("features", encode(&features, Encoding::Postcard).body),
        ("y_true", encode(&truths, Encoding::Postcard).body),
        ("y_pred", encode(&predictions, Encoding::Postcard).body),
    ]
}

async fn all(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

async fn rabbitmq(url: &str, bodies: &[(&'static str, Bytes); 3], frames: u64) -> Duration {
    use lapin::{
        Connection, ConnectionProperties,
        options::{BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
        types::{AMQPValue, FieldTable},
    };
    let (publishing, consuming) = tokio::join!(
        Connection::connect(url, ConnectionProperties::default()),
        Connection::connect(url, ConnectionProperties::default()),
    );
    let (publishing, consuming) = (publishing.unwrap(), consuming.unwrap());
    let mut lanes = Vec::new();
    for (topic, body) in bodies {
        let queue = format!("ceiling.{topic}");
        let (out, into) = (
            publishing.create_channel().await.unwrap(),
            consuming.create_channel().await.unwrap(),
        );
        let mut quorum = FieldTable::default();
        quorum.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        out.queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        out.queue_declare(queue.as_str().into(), durable, quorum)
            .await
            .unwrap();
        out.confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        into.basic_qos(CONSUME_WINDOW, BasicQosOptions::default())
            .await
            .unwrap();
        lanes.push((queue, body.clone(), out, into));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (queue, body, out, into) in &lanes {
        tasks.spawn(publish_amqp(
            out.clone(),
            queue.clone(),
            body.clone(),
            frames,
        ));
        tasks.spawn(consume_amqp(into.clone(), queue.clone(), frames));
    }
    all(tasks).await;
    let took = began.elapsed();
    for (queue, _, out, _) in &lanes {
        out.queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    took
}

async fn publish_amqp(channel: lapin::Channel, queue: String, body: Bytes, frames: u64) {
    use lapin::{BasicProperties, options::BasicPublishOptions};
    let mut unconfirmed = VecDeque::new();
    for _ in 0..frames {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            BasicPublishOptions::default(),
            &body,
            properties,
        );
        unconfirmed.push_back(sent.await.unwrap());
        if unconfirmed.len() >= PUBLISH_WINDOW {
            assert!(unconfirmed.pop_front().unwrap().await.unwrap().is_ack());
        }
    }
    for confirm in unconfirmed {
        assert!(confirm.await.unwrap().is_ack());
    }
}

async fn consume_amqp(channel: lapin::Channel, queue: String, frames: u64) {
    use lapin::{
        options::{BasicAckOptions, BasicConsumeOptions},
        types::FieldTable,
    };
    let consumer = channel.basic_consume(
        queue.as_str().into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut deliveries = consumer.await.unwrap();
    for number in 1..=frames {
        let delivery = deliveries.next().await.unwrap().unwrap();
        if number % ACK_EVERY == 0 || number == frames {
            delivery
                .ack(BasicAckOptions { multiple: true })
                .await
                .unwrap();
        }
    }
}

async fn nats(url: &str, bodies: &[(&'static str, Bytes); 3], frames: u64) -> Duration {
    use async_nats::jetstream::{self, consumer::pull, stream};
    let (publishing, consuming) = (
        async_nats::connect(url).await.unwrap(),
        async_nats::connect(url).await.unwrap(),
    );
    let (publishing, consuming) = (jetstream::new(publishing), jetstream::new(consuming));
    let mut lanes = Vec::new();
    for (topic, body) in bodies {
        let name = format!("ceiling-{topic}");
        // It may not be there.
        drop(publishing.delete_stream(&name).await);
        let wanted = stream::Config {
            name: name.clone(),
            subjects: vec![name.clone()],
            retention: stream::RetentionPolicy::Interest,
            ..stream::Config::default()
        };
        publishing.create_stream(wanted).await.unwrap();
        let stream = consuming.get_stream(&name).await.unwrap();
        let member = pull::Config {
            durable_name: Some("ceiling".to_owned()),
            max_ack_pending: 10_000,
            ..pull::Config::default()
        };
        lanes.push((
            name,
            body.clone(),
            stream.create_consumer(member).await.unwrap(),
        ));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (name, body, consumer) in lanes {
        tasks.spawn(publish_nats(publishing.clone(), name.clone(), body, frames));
        tasks.spawn(consume_nats(consumer, frames));
    }
    all(tasks).await;
    let took = began.elapsed();
    for (topic, _) in bodies {
        publishing
            .delete_stream(format!("ceiling-{topic}"))
            .await
            .unwrap();
    }
    took
}

async fn publish_nats(
    context: async_nats::jetstream::Context,
    subject: String,
    body: Bytes,
    frames: u64,
) {
    let mut unconfirmed = VecDeque::new();
    for _ in 0..frames {
        unconfirmed.push_back(
            context
                .publish(subject.clone(), body.clone())
                .await
                .unwrap()
                .into_future(),
        );
        if unconfirmed.len() >= PUBLISH_WINDOW {
            unconfirmed.pop_front().unwrap().await.unwrap();
        }
    }
    for confirm in unconfirmed {
        confirm.await.unwrap();
    }
}

async fn consume_nats(consumer: async_nats::jetstream::consumer::PullConsumer, frames: u64) {
    let batches = consumer
        .stream()
        .max_messages_per_batch(usize::from(CONSUME_WINDOW));
    let mut messages = batches.messages().await.unwrap();
    for _ in 0..frames {
        messages.next().await.unwrap().unwrap().ack().await.unwrap();
    }
}
