//! RabbitMQ under test: shared by the laws that hurt nobody, private for those that do.

mod own;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use lapin::{Connection, ConnectionProperties, options::QueueDeleteOptions};
use residual::{
    bus::{Bus, BusError, Config, connect, random_seed},
    clock::Clock,
};
use tokio::task::block_in_place;

use crate::{
    conformance::{
        ctx::{Fixture, Server, hurried},
        hold_every_law,
    },
    link::{hold_every_link_law, proxy::Proxy},
    servers::rabbitmq::{RabbitServer, SharedRabbit},
};

hold_every_law!(laws, super::shared, super::private);
hold_every_link_law!(link_laws, super::private);

static FIXTURES: AtomicU32 = AtomicU32::new(0);

/// The server that all tests share, under a prefix of its own.
pub(crate) struct SharedFixture {
    server: SharedRabbit,
    prefix: String,
}

pub(crate) async fn shared() -> SharedFixture {
    let server = tokio::task::spawn_blocking(SharedRabbit::join);
    let number = FIXTURES.fetch_add(1, Ordering::Relaxed);
    SharedFixture {
        server: server.await.expect("joined"),
        prefix: format!("{}-{number}.", std::process::id()),
    }
}

#[async_trait]
impl Fixture for SharedFixture {
    fn config(&self) -> Config {
        Config {
            prefix: self.prefix.clone(),
            ..hurried(&format!("amqp://127.0.0.1:{}", self.server.port))
        }
    }

    async fn connect(&self, config: Config) -> Result<Arc<dyn Bus>, BusError> {
        connect(&config, Clock::system(), random_seed()).await
    }

    async fn release(&self) {}

    async fn restart(&self) {
        panic!("this law hurts the broker; list it with the private ones");
    }

    fn server(&self) -> Option<&dyn Server> {
        panic!("this law hurts the broker; list it with the private ones");
    }
}

/// A server of its own, reached through a proxy.
pub(crate) struct PrivateFixture {
    server: RabbitServer,
    proxy: Proxy,
}

pub(crate) async fn private() -> PrivateFixture {
    let server = tokio::task::spawn_blocking(RabbitServer::started);
    PrivateFixture::new(server.await.expect("started")).await
}

impl PrivateFixture {
    async fn new(server: RabbitServer) -> Self {
        let proxy = Proxy::to(server.port).await;
        Self { server, proxy }
    }
}

#[async_trait]
impl Fixture for PrivateFixture {
    fn config(&self) -> Config {
        hurried(&format!("amqp://127.0.0.1:{}?heartbeat=2", self.proxy.port))
    }

    async fn connect(&self, config: Config) -> Result<Arc<dyn Bus>, BusError> {
        connect(&config, Clock::system(), random_seed()).await
    }

    async fn release(&self) {}

    async fn restart(&self) {
        block_in_place(|| {
            self.server.stop();
            self.server.start();
        });
    }

    fn server(&self) -> Option<&dyn Server> {
        Some(self)
    }
}

#[async_trait]
impl Server for PrivateFixture {
    async fn kill9(&self) {
        block_in_place(|| self.server.kill9());
    }

    async fn start(&self) {
        block_in_place(|| self.server.start());
    }

    async fn pause(&self) {
        self.server.signal("-STOP");
    }

    async fn resume(&self) {
        self.server.signal("-CONT");
    }

    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn swallow(&self) {
        self.proxy.swallow();
    }

    async fn heal(&self) {
        self.proxy.heal();
    }

    async fn delete(&self, topic: &str, group: &str) {
        let url = format!("amqp://127.0.0.1:{}", self.server.port);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await;
        let connection = connection.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        let queue = format!("{topic}.{group}");
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        deleted.await.expect("deleted");
        connection.close(200, "done".into()).await.expect("closed");
    }

    async fn absent(&self) -> (Config, Box<dyn Server>) {
        let absent = Self::new(RabbitServer::absent()).await;
        (absent.config(), Box::new(absent))
    }

    /// The memory alarm: the broker stops reading from everybody who publishes.
    async fn fill(&self) {
        block_in_place(|| self.server.control(&["set_vm_memory_high_watermark", "0"]));
    }

    async fn free(&self) {
        block_in_place(|| {
            self.server
                .control(&["set_vm_memory_high_watermark", "0.4"]);
        });
    }
}
