//! Exchanges, queues and bindings.

use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use super::error::declaration_error;
use crate::bus::{
    ATTEMPTS_MAX, Topic, Topology,
    remote::{ConnectError, PermanentError, SessionError, answered, within},
};

/// Deliveries after which the broker itself drops a message. Only a backstop: our own limit is below.
const DELIVERY_LIMIT: i64 = 50;

const _: () = assert!((ATTEMPTS_MAX as i64) < DELIVERY_LIMIT);

/// The exchange of a topic.
pub(super) fn exchange(prefix: &str, topic: &str) -> String {
    format!("{prefix}{topic}")
}

/// The queue of a group.
pub(super) fn queue(prefix: &str, topic: &str, group: &str) -> String {
    format!("{prefix}{topic}.{group}")
}

/// A name as AMQP carries it.
pub(super) fn short(name: &str) -> Result<ShortString, SessionError> {
    ShortString::try_new(name)
        .map_err(|error| SessionError::failed(format!("the name `{name}`"), error))
}

/// Declares everything; a difference is a conflict.
pub(super) async fn declare(
    connection: &Connection,
    prefix: &str,
    topology: &Topology,
) -> Result<(), ConnectError> {
    for topic in &topology.topics {
        // A refused declaration closes its channel, so each topic has its own.
        let channel = within("opening a channel", connection.create_channel()).await?;
        declare_topic(&channel, prefix, topic).await?;
        within("closing a channel", channel.close(200, "done".into())).await?;
    }
    Ok(())
}

async fn declare_topic(channel: &Channel, prefix: &str, topic: &Topic) -> Result<(), ConnectError> {
    let exchange = exchange(prefix, &topic.name);
    let name = short(&exchange).map_err(long_name)?;
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declared = channel.exchange_declare(
        name.clone(),
        ExchangeKind::Fanout,
        options,
        FieldTable::default(),
    );
    confirm_declaration(&exchange, declared).await?;
    for group in &topic.groups {
        let queue = queue(prefix, &topic.name, group);
        let queue_name = short(&queue).map_err(long_name)?;
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel.queue_declare(queue_name.clone(), options, queue_arguments(topic));
        confirm_declaration(&queue, declared).await?;
        let bound = channel.queue_bind(
            queue_name,
            name.clone(),
            ShortString::default(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        confirm_declaration(&queue, bound).await?;
    }
    Ok(())
}

fn queue_arguments(topic: &Topic) -> FieldTable {
    let bytes_max = i64::try_from(topic.bytes_max).unwrap_or(i64::MAX);
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(bytes_max),
    );
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(DELIVERY_LIMIT),
    );
    arguments
}

fn long_name(error: SessionError) -> ConnectError {
    PermanentError::refused("a name is too long", "choose a shorter `bus.prefix`")
        .caused_by(error)
        .into()
}

/// Bounded in time: a broker may keep its connection open and answer nothing.
async fn confirm_declaration<T>(
    name: &str,
    declaring: impl Future<Output = lapin::Result<T>>,
) -> Result<(), ConnectError> {
    let answer = answered(format!("the declaration of `{name}`"), declaring).await?;
    answer
        .map(drop)
        .map_err(|error| declaration_error(name, error))
}

/// Whether everything is still there.
pub(super) async fn check_topology(
    connection: &Connection,
    prefix: &str,
    topology: &Topology,
) -> Result<(), SessionError> {
    let channel = connection
        .create_channel()
        .await
        .map_err(|error| SessionError::failed("opening a channel", error))?;
    for topic in &topology.topics {
        for group in &topic.groups {
            ready_count(&channel, &queue(prefix, &topic.name, group)).await?;
        }
    }
    let closed = channel.close(200, "done".into()).await;
    closed.map_err(|error| SessionError::failed("closing a channel", error))
}

/// How many messages are ready in a queue that exists.
pub(super) async fn ready_count(channel: &Channel, queue: &str) -> Result<u64, SessionError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel
        .queue_declare(short(queue)?, options, FieldTable::default())
        .await;
    found
        .map(|queue| u64::from(queue.message_count()))
        .map_err(|error| SessionError::failed(format!("looking for queue `{queue}`"), error))
}
