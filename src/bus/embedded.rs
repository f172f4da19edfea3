//! The embedded broker: topics, groups and leases inside this process, in memory or in a directory.
//!
//! # Promises
//! - In memory (`embedded:`) everything is gone with the process ([`Capabilities::durable`] is false). In a directory
//!   (`embedded:PATH`) a receipt and a settlement resolve after the fsync of the commit that holds them, and so does
//!   the try of a delivery before it is handed out: a record that kills the process is counted.
//! - There are no lease timeouts ([`Config::lease_ms`] is for brokers with a link to lose): a living subscription
//!   keeps what it was given until it settles, and a dropped one gives all of it back in the same instant.
//! - A full topic makes publishers wait, in the order in which they came. A full disk is an outage of the link: see
//!   `writer`. A directory is open in one process at a time; a second one is refused.
//! - In memory it is deterministic: its only time is tokio's and its only order that of its calls, so on a
//!   current-thread runtime the same calls give the same deliveries.
//!
//! Deliberately absent: messages larger than memory (a topic's bound is held in memory, in both modes), and delays
//! of retries across a restart.

mod broker;
mod group;
mod op;
mod publisher;
mod schema;
mod store;
mod subscription;
mod topic;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, mpsc},
    time::Duration,
};

use async_trait::async_trait;
use redb::Database;
use tokio::sync::watch;

use self::{
    broker::{Broker, Client},
    publisher::EmbeddedPublisher,
    schema::StoreError,
    store::Store,
    subscription::EmbeddedSubscription,
    topic::Topic,
    writer::Writer,
};
use super::{
    BrokerInfo, BusError, Capabilities, Config, Depth, Link, Publisher, Topology,
    backend::{Backend, Subscription},
};

/// The largest body: far above a frame of 64 KiB, far below a topic's bound.
const BODY_MAX: usize = 16 << 20;
const FILE: &str = "bus.redb";

/// A client of an embedded broker. The broker lives as long as one of its clients.
#[derive(Debug)]
pub struct Embedded {
    client: Arc<Client>,
    config: Config,
}

impl Embedded {
    /// A new, empty broker in memory.
    #[must_use]
    pub fn memory(config: Config) -> Self {
        let (_, link) = watch::channel(Link::Up);
        Self::of(Arc::new(Broker::new(None, link, Vec::new())), config)
    }

    /// Opens the broker in that directory, which is created if it is missing.
    ///
    /// # Errors
    /// When another process has it open, when it cannot be created or read, or when a record is damaged.
    pub async fn open(directory: &Path, config: Config) -> Result<Self, BusError> {
        let owned = directory.to_owned();
        let opened = tokio::task::spawn_blocking(move || prepare(&owned)).await;
        let (file, database, topics) = opened.map_err(|source| BusError::Fatal {
            context: format!("opening `{}`", directory.display()),
            source: source.into(),
        })??;
        let (jobs, queue) = mpsc::channel();
        let (link_sender, link) = watch::channel(Link::Up);
        let (finished_sender, finished) = watch::channel(false);
        let abandoned = Arc::<AtomicBool>::default();
        let writer = Writer {
            file,
            abandoned: Arc::clone(&abandoned),
            database: Some(database),
            jobs: queue,
            link: link_sender,
            finished: finished_sender,
            backoff_max: Duration::from_millis(config.backoff_max_ms.max(1)),
        };
        std::thread::Builder::new()
            .name("bus-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| BusError::Fatal {
                context: "starting the writer's thread".to_owned(),
                source: source.into(),
            })?;
        let store = Store::new(jobs, abandoned, finished);
        Ok(Self::of(
            Arc::new(Broker::new(Some(store), link, topics)),
            config,
        ))
    }

    /// Another client of the same broker, as if from another process.
    #[must_use]
    pub fn client(&self, config: Config) -> Self {
        Self::of(Arc::clone(&self.client.broker), config)
    }

    fn of(broker: Arc<Broker>, config: Config) -> Self {
        Self {
            client: Arc::new(Client::new(broker)),
            config,
        }
    }
}

type Opened = (PathBuf, Database, Vec<Arc<Topic>>);

fn prepare(directory: &Path) -> Result<Opened, BusError> {
    std::fs::create_dir_all(directory).map_err(|source| BusError::Store {
        context: format!(
            "creating the directory `{}`; give `embedded:PATH` a directory that this user can write",
            directory.display()
        ),
        source: source.into(),
    })?;
    let file = directory.join(FILE);
    let opened = schema::open(&file).and_then(|database| {
        let topics = schema::load(&database)?;
        Ok((database, topics))
    });
    match opened {
        Ok((database, topics)) => Ok((file, database, topics)),
        Err(error) => Err(refusal(directory, error)),
    }
}

fn refusal(directory: &Path, error: StoreError) -> BusError {
    let path = directory.display();
    match error {
        StoreError::InUse => BusError::Refused {
            reason: format!("`{path}` is open in another process"),
            remedy: "stop that process, or give this one a directory of its own: `embedded:OTHER`"
                .to_owned(),
            source: None,
        },
        StoreError::Version { .. } => BusError::Refused {
            reason: format!("`{path}` cannot be read by this version"),
            remedy: "use the version that wrote it, or another directory".to_owned(),
            source: Some(Arc::new(error)),
        },
        other => BusError::Store {
            context: format!(
                "opening `{path}`; if the file is damaged, move the directory away to start with an empty bus"
            ),
            source: other.into(),
        },
    }
}

#[async_trait]
impl Backend for Embedded {
    fn capabilities(&self) -> Capabilities {
        let durable = self.client.broker.store.is_some();
        Capabilities {
            durable,
            outlives_process: false,
            attempts_survive_restart: durable,
            uncounted_release: true,
            deduplicates: false,
            counts_elsewhere: true,
            body_max: BODY_MAX,
        }
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        let where_to = match self.client.broker.store {
            Some(_) => "embedded (on disk)",
            None => "embedded (in memory)",
        };
        Ok(BrokerInfo {
            name: where_to.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.client.broker.link.clone()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.client.check_open()?;
        self.client.broker.declare(topology).await
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        self.client.check_open()?;
        let topic = self.client.broker.topic(topic)?;
        let client = Arc::clone(&self.client);
        let window = self.config.publish_window;
        Ok(Box::new(EmbeddedPublisher::new(client, topic, window)))
    }

    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Subscription>, BusError> {
        self.client.check_open()?;
        let (topic, group) = self.client.broker.group(topic, group)?;
        let client = Arc::clone(&self.client);
        Ok(Box::new(EmbeddedSubscription::new(
            client, topic, group, window,
        )))
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.client.check_open()?;
        let (topic, group) = self.client.broker.group(topic, group)?;
        Ok(topic.depth(group))
    }

    async fn close(&self) -> Result<(), BusError> {
        self.client.close().await
    }
}
