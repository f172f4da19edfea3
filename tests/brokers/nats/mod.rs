//! NATS JetStream under test: a private server for every test, reached through a proxy.

mod cluster;
mod own;

use std::sync::Arc;

use async_nats::jetstream;
use async_trait::async_trait;
use bytes::Bytes;
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
    servers::nats::NatsServer,
};

hold_every_law!(laws, super::private, super::private);
hold_every_link_law!(link_laws, super::private);

/// The stream with which another client takes all the storage.
const BALLAST: &str = "ballast";

/// A private server.
pub(crate) struct NatsFixture {
    server: NatsServer,
    proxy: Proxy,
    prefix: &'static str,
}

pub(crate) async fn private() -> NatsFixture {
    NatsFixture::new(NatsServer::with_jetstream()).await
}

impl NatsFixture {
    async fn new(server: NatsServer) -> Self {
        let proxy = Proxy::to(server.port).await;
        Self {
            server,
            proxy,
            prefix: "it.",
        }
    }

    async fn jetstream(&self) -> jetstream::Context {
        let url = format!("nats://127.0.0.1:{}", self.server.port);
        jetstream::new(async_nats::connect(url).await.expect("connected"))
    }
}

#[async_trait]
impl Fixture for NatsFixture {
    fn config(&self) -> Config {
        Config {
            prefix: self.prefix.to_owned(),
            ..hurried(&format!("nats://127.0.0.1:{}", self.proxy.port))
        }
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

/// The durable consumer of a group in this run of the server.
pub(crate) fn consumer_name(jetstream: &jetstream::Context, group: &str) -> String {
    format!("{group}@{}", jetstream.client().server_info().server_id)
}

#[async_trait]
impl Server for NatsFixture {
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
        let stream = format!("{}{topic}", self.prefix).replace('.', "+");
        let jetstream = self.jetstream().await;
        let stream = jetstream.get_stream(stream).await.expect("found");
        let name = consumer_name(&jetstream, group);
        let before = stream.consumer_info(&name).await.expect("found").created;
        // Server 2.9.10 may write a consumer's state while it removes its folder: then it says that it failed, though the
        // consumer is gone and the bus may have made another.
        if let Err(error) = stream.delete_consumer(&name).await
            && let Ok(found) = stream.consumer_info(&name).await
        {
            assert_ne!(found.created, before, "{error}");
        }
    }

    async fn absent(&self) -> (Config, Box<dyn Server>) {
        let server = NatsServer::absent("");
        server.configure(&server.jetstream());
        let absent = Self::new(server).await;
        (absent.config(), Box::new(absent))
    }

    /// Another client's stream takes all the storage that the server has.
    async fn fill(&self) {
        let jetstream = self.jetstream().await;
        let stream = jetstream::stream::Config {
            name: BALLAST.to_owned(),
            subjects: vec![BALLAST.to_owned()],
            ..jetstream::stream::Config::default()
        };
        jetstream.create_stream(stream).await.expect("created");
        let ballast = Bytes::from(vec![0; 900 << 10]);
        loop {
            let sent = jetstream.publish(BALLAST, ballast.clone()).await;
            if sent.expect("sent").await.is_err() {
                return;
            }
        }
    }

    async fn free(&self) {
        let jetstream = self.jetstream().await;
        jetstream.delete_stream(BALLAST).await.expect("deleted");
    }
}
