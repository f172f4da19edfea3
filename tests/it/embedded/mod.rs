//! The embedded broker under test, in memory and on disk.

mod disk;
mod full_disk;
mod simulated;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use residual::{
    bus::{Bus, BusError, Config, embedded::Embedded, settle::SettlingBus},
    clock::Clock,
};
use tempfile::TempDir;

use crate::conformance::{
    ctx::{Ctx, Fixture, G, SOLO, Server, hurried},
    hold_every_law,
    worker::{Habit, Role, Worker},
};

hold_every_law!(in_memory, super::memory, super::memory);
hold_every_law!(on_disk, super::durable, super::durable);

pub(crate) struct EmbeddedFixture {
    directory: Option<TempDir>,
    /// One more client, by which others reach the broker of this process.
    root: tokio::sync::Mutex<Option<Embedded>>,
    clients: Mutex<Vec<Arc<dyn Bus>>>,
}

pub(crate) async fn memory() -> EmbeddedFixture {
    fixture(None)
}

pub(crate) async fn durable() -> EmbeddedFixture {
    fixture(Some(tempfile::tempdir().expect("a directory")))
}

fn fixture(directory: Option<TempDir>) -> EmbeddedFixture {
    EmbeddedFixture {
        directory,
        root: tokio::sync::Mutex::default(),
        clients: Mutex::default(),
    }
}

impl EmbeddedFixture {
    async fn open(&self, config: Config) -> Result<Embedded, BusError> {
        match &self.directory {
            Some(directory) => Embedded::open(directory.path(), config).await,
            None => Ok(Embedded::memory(config)),
        }
    }
}

#[async_trait]
impl Fixture for EmbeddedFixture {
    fn config(&self) -> Config {
        let url = match &self.directory {
            Some(directory) => format!("embedded:{}", directory.path().display()),
            None => "embedded:".to_owned(),
        };
        Config {
            // There are no leases to wait for.
            lease_ms: 100,
            ..hurried(&url)
        }
    }

    async fn connect(&self, config: Config) -> Result<Arc<dyn Bus>, BusError> {
        let mut root = self.root.lock().await;
        let broker = match root.take() {
            Some(broker) => broker,
            None => self.open(config.clone()).await?,
        };
        let client = root.insert(broker).client(config.clone());
        let bus: Arc<dyn Bus> = Arc::new(SettlingBus::new(client, &config, Clock::system()));
        self.clients.lock().unwrap().push(Arc::clone(&bus));
        Ok(bus)
    }

    async fn release(&self) {
        let clients = std::mem::take(&mut *self.clients.lock().unwrap());
        for client in clients {
            client.close().await.expect("close");
        }
        if let Some(root) = self.root.lock().await.take() {
            residual::bus::backend::Backend::close(&root)
                .await
                .expect("close");
        }
    }

    async fn restart(&self) {
        self.release().await;
    }

    fn server(&self) -> Option<&dyn Server> {
        None
    }
}

/// All laws with a worker rely on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_reports_what_it_does() {
    let ctx = Ctx::new(Box::new(memory().await));
    let roles = vec![Role::publish(SOLO, 20), Role::consume(SOLO, G, Habit::Ack)];
    let mut worker = Worker::start(&ctx, ctx.fixture.config(), roles).await;
    let all: BTreeSet<u64> = (0..20).collect();
    worker.until(|log| log.acked_by(G) == all).await;
    worker.stop().await;
    assert_eq!(worker.log().confirmed, all);
}
