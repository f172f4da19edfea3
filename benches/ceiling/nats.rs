//! NATS JetStream through async-nats: file streams, publish acknowledgements, one acknowledgement a message.

use std::collections::VecDeque;

use async_nats::{
    Client, Subject,
    jetstream::{self, Context, consumer::pull, stream},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};

use crate::{
    CONSUME_WINDOW,
    lane::{Consumer, Lane, Publisher},
};

/// An empty stream for each topic.
pub(crate) async fn lanes(url: &str, topics: &[&str]) -> Vec<Lane> {
    let (publishing, consuming) =
        tokio::try_join!(async_nats::connect(url), async_nats::connect(url)).unwrap();
    let (publishing, context) = (
        jetstream::new(publishing),
        jetstream::new(consuming.clone()),
    );
    let mut lanes = Vec::new();
    for topic in topics {
        let subject = format!("ceiling-{topic}");
        // It need not exist.
        drop(publishing.delete_stream(&subject).await);
        let wanted = stream::Config {
            name: subject.clone(),
            subjects: vec![subject.clone()],
            retention: stream::RetentionPolicy::Interest,
            ..stream::Config::default()
        };
        publishing.create_stream(wanted).await.unwrap();
        let stream = context.get_stream(&subject).await.unwrap();
        let member = pull::Config {
            durable_name: Some("ceiling".to_owned()),
            max_ack_pending: 10_000,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(member).await.unwrap();
        let batches = consumer
            .stream()
            .max_messages_per_batch(usize::from(CONSUME_WINDOW));
        lanes.push(Lane {
            consumer: Box::new(Into {
                messages: batches.messages().await.unwrap(),
                client: consuming.clone(),
                taken: 0,
                unacknowledged: VecDeque::new(),
            }),
            publisher: Box::new(Out {
                context: publishing.clone(),
                subject,
            }),
        });
    }
    lanes
}

struct Out {
    context: Context,
    subject: String,
}

#[async_trait]
impl Publisher for Out {
    async fn send(&mut self, body: Bytes) -> BoxFuture<'static, ()> {
        let sent = self.context.publish(self.subject.clone(), body);
        let confirmed = sent.await.unwrap().into_future();
        async move { drop(confirmed.await.unwrap()) }.boxed()
    }
}

struct Into {
    messages: pull::Stream,
    client: Client,
    taken: u64,
    unacknowledged: VecDeque<(u64, Subject)>,
}

#[async_trait]
impl Consumer for Into {
    async fn next(&mut self) -> (u64, Bytes) {
        let message = self.messages.next().await.unwrap().unwrap();
        self.taken += 1;
        let reply = message.reply.clone().unwrap();
        self.unacknowledged.push_back((self.taken, reply));
        (self.taken, message.payload.clone())
    }

    async fn ack(&mut self, number: u64) {
        let done = self
            .unacknowledged
            .partition_point(|(taken, _)| *taken <= number);
        for (_, reply) in self.unacknowledged.drain(..done) {
            let word = Bytes::from_static(b"+ACK");
            self.client.publish(reply, word).await.unwrap();
        }
    }
}
