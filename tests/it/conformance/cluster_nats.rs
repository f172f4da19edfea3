//! Three nats-servers as one, each message with one of them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream;
use residual::{
    bus::{Bus, Config, Consumer, Publisher, Topic, Topology, Verdict, connect},
    clock::Clock,
};
use tokio::{sync::oneshot, task::block_in_place};

use super::{
    ctx::{G, SOLO, consumer, hurried, publisher, within},
    ledger::{LINGER, Ledger, SOON, hold, ids, messages, number, publish, recv},
    own_nats::copy_files,
    servers::{NatsServer, free_port},
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

    fn config(&self) -> Config {
        hurried(&format!("nats://127.0.0.1:{}", self.servers[0].port))
    }

    async fn open(&self) -> Arc<dyn Bus> {
        let config = self.config();
        let bus = within(SOON, connect(&config, Clock::system()))
            .await
            .expect("connected");
        let topology = Topology::with_dead_letters(vec![Topic::new(SOLO, &[G])]);
        let declared = within(SOON * 2, bus.declare(&topology)).await;
        declared.expect("declared");
        bus
    }

    /// The stream, as soon as the cluster knows it again.
    async fn stream(&self) -> jetstream::stream::Stream {
        let url = format!("nats://127.0.0.1:{}", self.servers[0].port);
        let jetstream = jetstream::new(async_nats::connect(url).await.expect("connected"));
        within(SOON, async {
            loop {
                if let Ok(stream) = jetstream.get_stream(SOLO).await
                    && stream.consumer_info(G).await.is_ok()
                {
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
    }

    /// Whoever stores the stream.
    fn holder(&self) -> &NatsServer {
        let holds = |server: &&NatsServer| server.stored(SOLO).is_dir();
        self.servers.iter().find(holds).expect("somebody has it")
    }
}

/// Publishes four at a time until told to stop; `confirmed` counts.
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

/// Consumes until told to stop.
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
        seen.extend(batch.iter().map(number));
        let acks = batch.into_iter().map(|d| (d.token, Verdict::Ack));
        // Those of a session that is lost are stale.
        consumer.settle(acks.collect()).await.expect("settled");
    }
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
        seen.extend(batch.iter().map(number));
        let acks = batch.into_iter().map(|d| (d.token, Verdict::Ack));
        consumer.settle(acks.collect()).await.expect("settled");
    }
}

/// Here a consumer outlives the run of its server, and is made anew when it is ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_ahead_of_its_stream_is_made_anew() {
    let cluster = block_in_place(Cluster::started);
    let bus = cluster.open().await;
    publish(&bus, SOLO, 0..5).await;
    let holder = cluster.holder();
    let (stored, backup) = (holder.stored(SOLO), holder.store().join("backup"));
    block_in_place(|| holder.stop());
    copy_files(&stored, &backup);
    block_in_place(|| holder.start());
    cluster.stream().await;
    let mut first = consumer(&bus, SOLO, G, 16).await;
    Ledger::default().drain(&mut *first, 5).await;
    publish(&bus, SOLO, 5..10).await;
    // Delivered and not acked: the server mends what was acked by itself.
    let held = hold(&mut *first, 5).await;
    block_in_place(|| holder.stop());
    drop(held);
    drop(first);
    bus.close().await.expect("closed");
    std::fs::remove_dir_all(&stored).expect("removed");
    copy_files(&backup, &stored);
    block_in_place(|| holder.start());
    let stream = cluster.stream().await;
    let last = stream.cached_info().state.last_sequence;
    let before = stream.consumer_info(G).await.expect("found");
    let delivered = before.delivered.stream_sequence;
    assert!(
        delivered > last,
        "the fault was not made: {delivered} of {last}"
    );
    let bus = cluster.open().await;
    let after = stream.consumer_info(G).await.expect("found");
    assert_ne!(after.created, before.created);
    publish(&bus, SOLO, 20..25).await;
    let mut second = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *second, 10).await;
    assert_eq!(ledger.ids(), &ids(0..5) | &ids(20..25));
}
