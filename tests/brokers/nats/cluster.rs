//! A cluster of three nats-servers; each message is stored by one of them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use residual::bus::{Bus, Consumer, Delivery, Publisher, Verdict};
use tokio::{sync::oneshot, task::block_in_place};

use super::own::{assert_starts_anew, config, open, put_consumer_ahead};
use crate::{
    conformance::{
        ctx::{G, SOLO, consumer, publisher, within},
        ledger::{LINGER, SOON, messages, number, recv},
    },
    port::free_port,
    servers::nats::NatsServer,
};

struct Cluster {
    servers: Vec<NatsServer>,
}

impl Cluster {
    fn started() -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let routes = ports.map(|port| format!("nats://127.0.0.1:{port}"));
        let servers = ports.map(|port| {
            let server = NatsServer::absent("");
            let cluster = format!(
                "cluster {{ name: three, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
                routes.join(", ")
            );
            let name = format!("server_name: at{}", server.port);
            server.configure(&format!("{}\n{name}\n{cluster}", server.jetstream()));
            server.start();
            server
        });
        Self {
            servers: servers.into(),
        }
    }

    async fn open(&self) -> Arc<dyn Bus> {
        let opened = within(SOON * 2, open(&config(&self.servers[0], ""))).await;
        opened.expect("declared")
    }

    /// The server that stores the stream.
    fn holder(&self) -> &NatsServer {
        let holds = |server: &&NatsServer| server.stored(SOLO).is_dir();
        self.servers.iter().find(holds).expect("one of them has it")
    }
}

/// Publishes four at a time until it is asked to stop; `confirmed` counts.
async fn publish_until(
    mut publisher: Box<dyn Publisher>,
    confirmed: Arc<AtomicU64>,
    mut stop: oneshot::Receiver<()>,
) {
    while stop.try_recv().is_err() {
        let next = confirmed.load(Ordering::Relaxed);
        let receipt = publisher.publish(messages(next..next + 4)).await;
        let receipt = receipt.expect("published").into_future();
        within(SOON * 2, receipt).await.expect("receipt");
        confirmed.store(next + 4, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    publisher.close().await.expect("closed");
}

/// Consumes until it is asked to stop.
async fn take_until(
    mut consumer: Box<dyn Consumer>,
    mut stop: oneshot::Receiver<()>,
) -> (Box<dyn Consumer>, BTreeSet<u64>) {
    let mut seen = BTreeSet::new();
    loop {
        let batch = tokio::select! {
            _ = &mut stop => return (consumer, seen),
            batch = consumer.recv(16, LINGER) => batch.expect("received"),
        };
        take(&mut *consumer, batch, &mut seen).await;
    }
}

async fn take(consumer: &mut dyn Consumer, batch: Vec<Delivery>, seen: &mut BTreeSet<u64>) {
    seen.extend(batch.iter().map(number));
    let acks = batch.into_iter().map(|d| (d.token, Verdict::Ack));
    // Deliveries of a lost session are stale.
    consumer.settle(acks.collect()).await.expect("settled");
}

async fn until_confirmed(confirmed: &AtomicU64, more: u64) {
    let goal = confirmed.load(Ordering::Relaxed) + more;
    within(SOON * 2, async {
        while confirmed.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_are_killed_in_turn_and_nothing_is_lost() {
    let cluster = block_in_place(Cluster::started);
    let bus = cluster.open().await;
    let confirmed = Arc::new(AtomicU64::new(0));
    let (enough, stop) = oneshot::channel();
    let publisher = publisher(&bus, SOLO).await;
    let publishing = tokio::spawn(publish_until(publisher, Arc::clone(&confirmed), stop));
    let (leave, stop) = oneshot::channel();
    let taking = tokio::spawn(take_until(consumer(&bus, SOLO, G, 16).await, stop));
    for server in &cluster.servers {
        until_confirmed(&confirmed, 100).await;
        block_in_place(|| {
            server.kill9();
            server.start();
        });
    }
    until_confirmed(&confirmed, 100).await;
    enough.send(()).expect("it publishes");
    within(SOON * 2, publishing).await.expect("published");
    leave.send(()).expect("it consumes");
    let (mut consumer, mut seen) = taking.await.expect("consumed");
    let all: BTreeSet<_> = (0..confirmed.load(Ordering::Relaxed)).collect();
    while seen != all {
        let batch = recv(&mut *consumer, 16).await;
        take(&mut *consumer, batch, &mut seen).await;
    }
}

/// In a cluster a consumer outlives the run of its server, and is replaced when it is ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_ahead_of_its_stream_is_made_anew() {
    let cluster = block_in_place(Cluster::started);
    let bus = cluster.open().await;
    let (client, holder) = (&cluster.servers[0], cluster.holder());
    let (stream, before) = put_consumer_ahead(bus, client, holder, |_| G.to_owned()).await;
    let bus = cluster.open().await;
    let after = stream.consumer_info(G).await.expect("found");
    assert_ne!(after.created, before.created);
    assert_starts_anew(&bus).await;
}
