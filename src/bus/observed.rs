//! A bus that counts: what went in, what came out, how long receipts took.
//!
//! | metric | labels | meaning |
//! |---|---|---|
//! | `residual_bus_published_total` | topic | messages handed to the broker |
//! | `residual_bus_confirmed_total` | topic | messages whose receipt resolved to `Ok` |
//! | `residual_bus_unconfirmed_total` | topic | messages whose receipt did not |
//! | `residual_bus_receipt_seconds` | topic | from publishing to the receipt |
//! | `residual_bus_delivered_total` | topic, group | deliveries, redeliveries among them |
//! | `residual_bus_redelivered_total` | topic, group | deliveries with an attempt above 1 |
//! | `residual_bus_settled_total` | topic, group, verdict | `ack`, `retry`, `dead`, `release`, as asked |
//! | `residual_bus_stale_total` | topic, group | tokens that came too late |
//! | `residual_bus_buried_total` | topic, group | parts of deliveries that went to the dead letters |
//!
//! Promise: it changes nothing that the bus does. A receipt that nobody awaits is not counted as confirmed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::{Counter, Histogram, counter, histogram};
use tokio::{sync::watch, time::Instant};

use super::{
    BrokerInfo, Bus, BusError, Capabilities, Consumer, DeadLetter, Delivery, Depth, Link, Message,
    Publisher, Receipt, Settled, Token, Topology, Verdict,
};

/// A [`Bus`] with counters.
#[derive(Debug)]
pub(super) struct ObservedBus {
    inner: Arc<dyn Bus>,
}

impl ObservedBus {
    /// Counts what goes through that bus.
    #[must_use]
    pub(super) fn new(inner: Arc<dyn Bus>) -> Self {
        Self { inner }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Bus for ObservedBus {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        self.inner.describe().await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.inner.declare(topology).await
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        let inner = self.inner.publisher(topic).await?;
        let counters = PublisherCounters::of(topic);
        Ok(Box::new(ObservedPublisher { inner, counters }))
    }

    async fn consumer(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Consumer>, BusError> {
        let inner = self.inner.consumer(topic, group, window).await?;
        let counters = ConsumerCounters::of(topic, group);
        Ok(Box::new(ObservedConsumer { inner, counters }))
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.inner.depth(topic, group).await
    }

    async fn redrive(&self, topic: &str, group: &str) -> Result<u64, BusError> {
        self.inner.redrive(topic, group).await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

#[derive(Clone)]
struct PublisherCounters {
    published: Counter,
    confirmed: Counter,
    unconfirmed: Counter,
    receipt_seconds: Histogram,
}

impl PublisherCounters {
    fn of(topic: &str) -> Self {
        let topic = topic.to_owned();
        Self {
            published: counter!("residual_bus_published_total", "topic" => topic.clone()),
            confirmed: counter!("residual_bus_confirmed_total", "topic" => topic.clone()),
            unconfirmed: counter!("residual_bus_unconfirmed_total", "topic" => topic.clone()),
            receipt_seconds: histogram!("residual_bus_receipt_seconds", "topic" => topic),
        }
    }
}

struct ObservedPublisher {
    inner: Box<dyn Publisher>,
    counters: PublisherCounters,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Publisher for ObservedPublisher {
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Receipt, BusError> {
        let (count, begun) = (messages.len() as u64, Instant::now());
        let receipt = self.inner.publish(messages).await?;
        self.counters.published.increment(count);
        let counters = self.counters.clone();
        Ok(Receipt::new(async move {
            let result = receipt.await;
            let missing = result
                .as_ref()
                .err()
                .map_or(0, |lost| lost.ids.len() as u64);
            counters.confirmed.increment(count.saturating_sub(missing));
            counters.unconfirmed.increment(missing);
            counters.receipt_seconds.record(begun.elapsed());
            result
        }))
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        self.inner.close().await
    }
}

struct ConsumerCounters {
    delivered: Counter,
    redelivered: Counter,
    acked: Counter,
    retried: Counter,
    dead: Counter,
    released: Counter,
    stale: Counter,
    dead_lettered: Counter,
}

impl ConsumerCounters {
    fn of(topic: &str, group: &str) -> Self {
        let of = |name: &'static str| counter!(name, "topic" => topic.to_owned(), "group" => group.to_owned());
        let settled = |verdict: &'static str| {
            counter!("residual_bus_settled_total",
                "topic" => topic.to_owned(), "group" => group.to_owned(), "verdict" => verdict)
        };
        Self {
            delivered: of("residual_bus_delivered_total"),
            redelivered: of("residual_bus_redelivered_total"),
            acked: settled("ack"),
            retried: settled("retry"),
            dead: settled("dead"),
            released: settled("release"),
            stale: of("residual_bus_stale_total"),
            dead_lettered: of("residual_bus_buried_total"),
        }
    }

    fn of_verdict(&self, verdict: &Verdict) -> &Counter {
        match verdict {
            Verdict::Ack => &self.acked,
            Verdict::Retry(_) => &self.retried,
            Verdict::Dead(_) => &self.dead,
            Verdict::Release => &self.released,
        }
    }
}

struct ObservedConsumer {
    inner: Box<dyn Consumer>,
    counters: ConsumerCounters,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Consumer for ObservedConsumer {
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError> {
        let batch = self.inner.recv(max, linger).await?;
        let again = batch.iter().filter(|delivery| delivery.attempt > 1).count();
        self.counters.delivered.increment(batch.len() as u64);
        self.counters.redelivered.increment(again as u64);
        Ok(batch)
    }

    async fn settle(&mut self, verdicts: Vec<(Token, Verdict)>) -> Result<Settled, BusError> {
        for (_, verdict) in &verdicts {
            self.counters.of_verdict(verdict).increment(1);
        }
        let settled = self.inner.settle(verdicts).await?;
        self.counters.stale.increment(settled.stale as u64);
        Ok(settled)
    }

    async fn dead_letter(&mut self, letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let count = letters.len() as u64;
        self.inner.dead_letter(letters).await?;
        self.counters.dead_lettered.increment(count);
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.inner.stop().await
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use uuid::Uuid;

    use super::{
        super::{Config, Topic, embedded::Embedded, settle::SettlingBus},
        *,
    };
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn every_step_of_a_message_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let config = Config::default();
        let broker = Embedded::memory(config.clone());
        let bus = ObservedBus::new(Arc::new(SettlingBus::new(
            broker,
            &config,
            Clock::anchored(0),
        )));
        let topics = vec![Topic::new("t", &["g"])];
        bus.declare(&Topology::with_dead_letters(topics))
            .await
            .unwrap();
        let mut publisher = bus.publisher("t").await.unwrap();
        let messages = (1..=3).map(|n| Message::new(Uuid::from_u128(n), "", Bytes::new()));
        let receipt = publisher.publish(messages.collect()).await.unwrap();
        receipt.await.unwrap();
        let mut consumer = bus.consumer("t", "g", 8).await.unwrap();
        let verdicts = [
            Verdict::Ack,
            Verdict::Dead("bad".to_owned()),
            Verdict::Retry(Duration::ZERO),
            Verdict::Ack,
        ];
        for verdict in verdicts {
            let delivery = consumer.recv(1, Duration::ZERO).await.unwrap().remove(0);
            consumer
                .settle(vec![(delivery.token, verdict)])
                .await
                .unwrap();
        }
        let page = page.render();
        for line in [
            r#"residual_bus_published_total{topic="t"} 3"#,
            r#"residual_bus_confirmed_total{topic="t"} 3"#,
            r#"residual_bus_receipt_seconds_count{topic="t"} 1"#,
            r#"residual_bus_delivered_total{topic="t",group="g"} 4"#,
            r#"residual_bus_redelivered_total{topic="t",group="g"} 1"#,
            r#"residual_bus_settled_total{topic="t",group="g",verdict="ack"} 2"#,
            r#"residual_bus_settled_total{topic="t",group="g",verdict="dead"} 1"#,
            r#"residual_bus_settled_total{topic="t",group="g",verdict="retry"} 1"#,
            r#"residual_bus_stale_total{topic="t",group="g"} 0"#,
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }
}
