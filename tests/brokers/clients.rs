//! What the brokers' client libraries do that our sessions guard against: nothing of ours is tested here.
//!
//! Run when one of them is upgraded; where one of these fails, a guard may go:
//! `cargo nextest run --test brokers --run-ignored only -E 'test(clients::)'`.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer::pull, stream};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Event, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use tokio::time::timeout;

use crate::{
    link::proxy::Proxy,
    servers::{nats::NatsServer, rabbitmq::RabbitServer},
};

/// Longer than anything takes that is going to happen.
const LONG: Duration = Duration::from_secs(5);

const QUEUE: &str = "q";

async fn connection(server: &RabbitServer, properties: ConnectionProperties) -> Connection {
    let url = format!("amqp://127.0.0.1:{}", server.port);
    Connection::connect(&url, properties)
        .await
        .expect("connected")
}

async fn channel_with_queue(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    let declared = channel.queue_declare(
        QUEUE.into(),
        QueueDeclareOptions::default(),
        FieldTable::default(),
    );
    declared.await.expect("declared");
    let confirming = channel.confirm_select(ConfirmSelectOptions::default());
    confirming.await.expect("confirms");
    channel
}

async fn consume(channel: &Channel) -> Consumer {
    let consumer = channel.basic_consume(
        QUEUE.into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    consumer.await.expect("a consumer")
}

async fn publish(channel: &Channel, body: &[u8]) -> PublisherConfirm {
    let published = channel.basic_publish(
        "".into(),
        QUEUE.into(),
        BasicPublishOptions::default(),
        body,
        BasicProperties::default(),
    );
    published.await.expect("written")
}

/// Why lapin's own recovery is not used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests the client, not us"]
async fn on_rabbitmq_a_recovering_consumer_of_a_closed_channel_is_silent_for_ever() {
    let server = RabbitServer::started();
    let properties = ConnectionProperties::default().enable_auto_recover();
    let connection = connection(&server, properties).await;
    let channel = channel_with_queue(&connection).await;
    let mut consumer = consume(&channel).await;
    // 406: the broker closes the channel.
    let unknown = channel.basic_ack(77, BasicAckOptions::default());
    drop(unknown.await);
    let first = timeout(LONG, consumer.next()).await.expect("a word");
    assert!(matches!(first, Some(Err(_))), "{first:?}");
    let second = timeout(LONG, consumer.next()).await;
    assert!(second.is_err(), "it says more now: {second:?}");
}

/// Why publishers and consumers have a connection each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests the client, not us"]
async fn on_rabbitmq_a_blocked_connection_writes_no_acks() {
    let server = RabbitServer::started();
    let connection = connection(&server, ConnectionProperties::default()).await;
    let mut events = connection.events_listener();
    let channel = channel_with_queue(&connection).await;
    for n in 0..2 {
        publish(&channel, &[n]).await.await.expect("confirmed");
    }
    let one = channel.basic_qos(1, BasicQosOptions::default());
    one.await.expect("limited");
    let mut consumer = consume(&channel).await;
    let first = consumer.next().await.expect("one").expect("delivered");
    server.control(&["set_vm_memory_high_watermark", "0"]);
    let unconfirmed = publish(&channel, &[2]).await;
    let blocked =
        async { while !matches!(events.next().await, Some(Event::ConnectionBlocked(_))) {} };
    timeout(LONG, blocked).await.expect("blocked");
    drop(timeout(LONG, first.acker.ack(BasicAckOptions::default())).await);
    let second = timeout(LONG, consumer.next()).await;
    assert!(second.is_err(), "the ack was written: {second:?}");
    server.control(&["set_vm_memory_high_watermark", "0.4"]);
    let second = timeout(LONG, consumer.next()).await;
    assert!(matches!(second, Ok(Some(Ok(_)))), "{second:?}");
    drop(unconfirmed);
}

async fn jetstream_with_consumer(
    port: u16,
) -> (
    jetstream::Context,
    jetstream::consumer::Consumer<pull::Config>,
) {
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await;
    let context = jetstream::new(client.expect("connected"));
    let stream = context.create_stream(stream::Config {
        name: "s".to_owned(),
        subjects: vec!["s".to_owned()],
        ..stream::Config::default()
    });
    let stream = stream.await.expect("a stream");
    let consumer = stream.create_consumer(pull::Config {
        durable_name: Some("c".to_owned()),
        ..pull::Config::default()
    });
    let consumer = consumer.await.expect("a consumer");
    (context, consumer)
}

/// Why the end of a session, and not an answer, makes its window be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests the client, not us"]
async fn on_nats_a_publish_that_is_cut_off_fails_only_by_its_timeout() {
    let server = NatsServer::with_jetstream();
    let proxy = Proxy::to(server.port).await;
    let (context, _) = jetstream_with_consumer(proxy.port).await;
    proxy.swallow();
    let answer = context.publish("s", "x".into()).await.expect("queued");
    let begun = Instant::now();
    proxy.cut();
    let answered = answer.into_future().await;
    assert!(answered.is_err());
    assert!(
        begun.elapsed() > Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// Why pulls are our own requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests the client, not us"]
async fn on_nats_a_batch_with_heartbeats_never_ends() {
    let server = NatsServer::with_jetstream();
    let (_, consumer) = jetstream_with_consumer(server.port).await;
    let batch = consumer
        .batch()
        .max_messages(10)
        .expires(Duration::from_secs(1))
        .heartbeat(Duration::from_millis(200));
    let mut batch = batch.messages().await.expect("a batch");
    let ended = timeout(LONG, batch.next()).await;
    assert!(
        ended.is_err(),
        "it ends now: {:?}",
        ended.map(|end| end.is_some())
    );
}
