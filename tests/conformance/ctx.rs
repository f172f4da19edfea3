//! What a law is given: clients, a topology, settings with short waits, and the faults of the backend.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use residual::bus::{Bus, BusError, Capabilities, Config, Consumer, Publisher, Topic, Topology};

/// A topic with two groups.
pub(crate) const SHARED: &str = "shared";
pub(crate) const A: &str = "a";
pub(crate) const B: &str = "b";
/// A topic with one group.
pub(crate) const SOLO: &str = "solo";
pub(crate) const G: &str = "g";
/// A topic with one group and little room.
pub(crate) const SMALL: &str = "small";
pub(crate) const SMALL_BYTES: u64 = 64 << 10;

/// The longest that a law may take.
const LAW_MAX: Duration = Duration::from_secs(200);

/// How long a broker that is there may take to begin with: longer than a declaration that has to be made again.
const BEGIN_MAX: Duration = Duration::from_secs(60);

/// How a backend is set up, reached and hurt.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    /// Settings with which a client in any process reaches the broker.
    fn config(&self) -> Config;

    /// A new client in this process.
    async fn connect(&self, config: Config) -> Result<Arc<dyn Bus>, BusError>;

    /// Lets go of the broker if it lives in this process, so that a worker process can host it.
    async fn release(&self);

    /// Stops the broker cleanly and starts it again on what it stored.
    async fn restart(&self);

    /// Faults that need a broker in a process of its own; `None` where the broker lives in its client's process.
    fn server(&self) -> Option<&dyn Server>;
}

/// Faults of a broker that is a process of its own, reached by a link.
#[async_trait]
pub(crate) trait Server: Send + Sync {
    /// `kill -9`; it stays away.
    async fn kill9(&self);
    /// Starts it again on what it stored; returns when it answers.
    async fn start(&self);
    /// SIGSTOP.
    async fn pause(&self);
    /// SIGCONT.
    async fn resume(&self);
    /// Cuts every connection and refuses new ones.
    async fn cut(&self);
    /// Lets bytes vanish without closing anything: a half-open link.
    async fn swallow(&self);
    /// Ends `cut` and `swallow`.
    async fn heal(&self);
    /// Deletes what stores the messages of that group (its queue, its consumer).
    async fn delete(&self, topic: &str, group: &str);
    /// Settings that name a server which is not there yet, and a way to bring it up at that address later.
    async fn absent(&self) -> (Config, Box<dyn Server>);
    /// Fills the broker's quota from another client, until it refuses or blocks publishers; `free` ends it.
    async fn fill(&self);
    /// Ends `fill`.
    async fn free(&self);
}

/// A backend under test.
pub(crate) struct Ctx {
    pub(crate) fixture: Box<dyn Fixture>,
}

impl Ctx {
    pub(crate) fn new(fixture: Box<dyn Fixture>) -> Self {
        Self { fixture }
    }

    /// Runs a law; one that hangs has failed.
    pub(crate) async fn hold(&self, law: impl Future<Output = ()>) {
        within(LAW_MAX, law).await;
    }

    pub(crate) async fn bus(&self) -> Arc<dyn Bus> {
        self.bus_with(|_| ()).await
    }

    /// A client with the topology declared.
    pub(crate) async fn bus_with(&self, change: impl FnOnce(&mut Config) + Send) -> Arc<dyn Bus> {
        let mut config = self.fixture.config();
        change(&mut config);
        let bus = within(BEGIN_MAX, self.fixture.connect(config)).await;
        let bus = bus.expect("connect");
        let declared = within(BEGIN_MAX, bus.declare(&topology())).await;
        declared.expect("declare");
        bus
    }

    /// How long a delivery of a consumer that vanished may take to come back.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.fixture.config().lease_ms)
    }

    pub(crate) async fn capabilities(&self) -> Capabilities {
        self.bus().await.capabilities()
    }
}

/// What every law finds declared.
pub(crate) fn topology() -> Topology {
    let mut small = Topic::new(SMALL, &[G]);
    small.bytes_max = SMALL_BYTES;
    Topology::with_dead_letters(vec![
        Topic::new(SHARED, &[A, B]),
        Topic::new(SOLO, &[G]),
        small,
    ])
}

/// Settings for tests: every wait is short.
pub(crate) fn hurried(url: &str) -> Config {
    Config {
        url: url.to_owned(),
        lease_ms: 2_000,
        publish_window: 64,
        consume_window: 32,
        backoff_max_ms: 250,
        ..Config::default()
    }
}

pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(tokio::time::error::Elapsed { .. }) => panic!("not done within {limit:?}"),
    }
}

pub(crate) async fn publisher(bus: &Arc<dyn Bus>, topic: &str) -> Box<dyn Publisher> {
    bus.publisher(topic).await.expect("publisher")
}

pub(crate) async fn consumer(
    bus: &Arc<dyn Bus>,
    topic: &str,
    group: &str,
    window: usize,
) -> Box<dyn Consumer> {
    bus.consumer(topic, group, window).await.expect("consumer")
}
