//! Verdicts, dead letters, poison and redrive, built once over every backend.
//!
//! # Promises
//! - `Dead` is a copy in `TOPIC.GROUP.dead`, confirmed, then an ack: never neither. While the dead letters cannot be
//!   written the original is kept, and the settling waits.
//! - A delivery past [`Config::attempts_max`] is dead-lettered without being handed out.
//! - A delivery that came back is handed out alone, and a new consumer has one delivery at a time until it has seen
//!   one at its first try. So a message that kills its consumer is counted alone: the next time its neighbours are not
//!   delivered with it, not even on brokers that count what was only prefetched.
//!   The price: a consumer that needs several deliveries before it settles any waits in `recv` until one at its first
//!   try comes, as with a full window.
//! - A dead letter that is redriven is processed by its own group only; the others ack it unseen.

mod consumer;
pub mod dead;
mod redrive;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::{consumer::SettlingConsumer, dead::DeadLetterWriter};
use super::{
    BrokerInfo, Bus, BusError, Capabilities, Config, Consumer, Depth, Link, Publisher, Topology,
    backend::Backend,
    topology::{DEAD_GROUP, dead_topic},
};
use crate::clock::Clock;

/// A [`Bus`] over a [`Backend`].
#[derive(Debug)]
pub struct SettlingBus {
    backend: Arc<dyn Backend>,
    attempts_max: u32,
    clock: Clock,
    /// What this client has declared.
    declared: Mutex<Topology>,
}

impl SettlingBus {
    /// Builds the bus; the clock dates dead letters.
    #[must_use]
    pub fn new(backend: impl Backend, config: &Config, clock: Clock) -> Self {
        Self {
            backend: Arc::new(backend),
            attempts_max: config.attempts_max.max(1),
            clock,
            declared: Mutex::new(Topology { topics: Vec::new() }),
        }
    }

    fn declared(&self) -> MutexGuard<'_, Topology> {
        self.declared.lock()
    }

    fn check_group(&self, topic: &str, group: &str) -> Result<(), BusError> {
        if self.declared().has_group(topic, group) {
            return Ok(());
        }
        Err(BusError::Undeclared {
            name: format!("{topic}.{group}"),
        })
    }

    /// Where the dead letters of the group go. Dead letters themselves have no such place.
    fn dead_letters(&self, topic: &str, group: &str) -> Result<Option<DeadLetterWriter>, BusError> {
        if group == DEAD_GROUP {
            return Ok(None);
        }
        self.check_group(&dead_topic(topic, group), DEAD_GROUP)?;
        let backend = Arc::clone(&self.backend);
        Ok(Some(DeadLetterWriter::new(
            backend, topic, group, self.clock,
        )))
    }
}

#[async_trait]
impl Bus for SettlingBus {
    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        self.backend.describe().await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.backend.link()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.backend.declare(topology).await?;
        self.declared().merge(topology);
        Ok(())
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        if self.declared().topic(topic).is_none() {
            return Err(BusError::Undeclared {
                name: topic.to_owned(),
            });
        }
        self.backend.publisher(topic).await
    }

    async fn consumer(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Consumer>, BusError> {
        self.check_group(topic, group)?;
        let dead_letters = self.dead_letters(topic, group)?;
        let source = consumer::Source {
            backend: Arc::clone(&self.backend),
            topic: topic.to_owned(),
            group: group.to_owned(),
            window: window.max(1),
            attempts_max: self.attempts_max,
        };
        Ok(Box::new(
            SettlingConsumer::open(source, dead_letters).await?,
        ))
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.check_group(topic, group)?;
        let mut depth = self.backend.depth(topic, group).await?;
        let dead = dead_topic(topic, group);
        if self.check_group(&dead, DEAD_GROUP).is_ok() {
            let letters = self.backend.depth(&dead, DEAD_GROUP).await?;
            depth.dead = letters.ready + letters.in_flight;
        }
        Ok(depth)
    }

    async fn redrive(&self, topic: &str, group: &str) -> Result<u64, BusError> {
        self.check_group(topic, group)?;
        self.check_group(&dead_topic(topic, group), DEAD_GROUP)?;
        redrive::redrive(self.backend.as_ref(), topic, group).await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.backend.close().await
    }
}
