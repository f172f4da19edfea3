//! RabbitMQ through lapin: durable quorum queues, confirms, acknowledgements of many at once.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};

use crate::{
    CONSUME_WINDOW,
    lane::{Consumer, Lane, Publisher},
};

/// An empty queue for each topic.
pub(crate) async fn lanes(url: &str, topics: &[&str]) -> Vec<Lane> {
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let (publishing, consuming) = tokio::join!(connect(), connect());
    let (publishing, consuming) = (publishing.unwrap(), consuming.unwrap());
    let mut lanes = Vec::new();
    for topic in topics {
        let queue = format!("ceiling.{topic}");
        let out = publishing.create_channel().await.unwrap();
        declare(&out, &queue).await;
        let into = consuming.create_channel().await.unwrap();
        let qos = BasicQosOptions::default();
        into.basic_qos(CONSUME_WINDOW, qos).await.unwrap();
        let consumer = into.basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        lanes.push(Lane {
            consumer: Box::new(Into {
                deliveries: consumer.await.unwrap(),
                channel: into,
            }),
            publisher: Box::new(Out {
                channel: out,
                queue,
            }),
        });
    }
    lanes
}

async fn declare(channel: &Channel, queue: &str) {
    let kind = AMQPValue::LongString("quorum".into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), kind);
    let gone = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
    gone.await.unwrap();
    let declared = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
    declared.await.unwrap();
    let confirming = channel.confirm_select(ConfirmSelectOptions::default());
    confirming.await.unwrap();
}

struct Out {
    channel: Channel,
    queue: String,
}

#[async_trait]
impl Publisher for Out {
    async fn send(&mut self, body: Bytes) -> BoxFuture<'static, ()> {
        let sent = self.channel.basic_publish(
            "".into(),
            self.queue.as_str().into(),
            BasicPublishOptions::default(),
            &body,
            BasicProperties::default().with_delivery_mode(2),
        );
        let confirmed = sent.await.unwrap();
        async move { assert!(confirmed.await.unwrap().is_ack()) }.boxed()
    }
}

struct Into {
    channel: Channel,
    deliveries: lapin::Consumer,
}

#[async_trait]
impl Consumer for Into {
    async fn next(&mut self) -> (u64, Bytes) {
        let delivery = self.deliveries.next().await.unwrap().unwrap();
        (delivery.delivery_tag, Bytes::from(delivery.data))
    }

    async fn ack(&mut self, number: u64) {
        let many = BasicAckOptions { multiple: true };
        self.channel.basic_ack(number, many).await.unwrap();
    }
}
