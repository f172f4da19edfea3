//! Simulations: hours of everything that a broker may do to its clients, in virtual time, under many seeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use residual::{
    bus::{
        Bus, Config, Verdict,
        chaos::{Chaos, Faults},
        embedded::Embedded,
        settle::{SettlingBus, dead::ORIGINAL_ID},
        topology::{DEAD_GROUP, dead_topic},
    },
    clock::Clock,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::conformance::{
    ctx::{G, SOLO, topology},
    ledger::message,
};

const COUNT: u64 = 60;
const FAULTS: Faults = Faults {
    duplicate: 0.1,
    revoke: 0.15,
    crash: 0.1,
    delay_max: Duration::from_secs(3),
};

/// What happened, in order, with the virtual time.
type Story = Vec<(u64, &'static str, Uuid, u32)>;

#[derive(Clone)]
struct Scene {
    clock: Clock,
    story: Arc<Mutex<Story>>,
}

impl Scene {
    fn note(&self, event: &'static str, id: Uuid, attempt: u32) {
        let entry = (self.clock.now_ms(), event, id, attempt);
        self.story.lock().unwrap().push(entry);
    }
}

fn client(broker: &Embedded, seed: u64, clock: Clock) -> Arc<dyn Bus> {
    let config = Config {
        attempts_max: 4,
        ..Config::default()
    };
    let chaos = Chaos::new(broker.client(config.clone()), FAULTS, seed);
    Arc::new(SettlingBus::new(chaos, &config, clock))
}

async fn produce(bus: Arc<dyn Bus>, scene: Scene) {
    let mut publisher = bus.publisher(SOLO).await.unwrap();
    for n in (0..COUNT).step_by(3) {
        let batch: Vec<_> = (n..n + 3).map(message).collect();
        let receipt = publisher.publish(batch.clone()).await.unwrap();
        receipt.await.unwrap();
        for message in batch {
            scene.note("confirmed", message.id, 0);
        }
    }
}

/// Consumes until nothing has come for a virtual hour. What is done with a message depends on the message alone.
async fn consume(bus: Arc<dyn Bus>, scene: Scene) {
    let mut consumer = bus.consumer(SOLO, G, 4).await.unwrap();
    let (hour, linger) = (Duration::from_secs(3_600), Duration::from_millis(700));
    while let Ok(batch) = timeout(hour, consumer.recv(3, linger)).await {
        for delivery in batch.unwrap() {
            let (id, attempt) = (delivery.message.id, delivery.attempt);
            let verdict = match id.as_u128() % 7 {
                0 => Verdict::Dead("a seventh".to_owned()),
                1 if attempt < 3 => Verdict::Retry(Duration::from_secs(40)),
                2 if attempt < 2 => Verdict::Release,
                _ => Verdict::Ack,
            };
            let acked = verdict == Verdict::Ack;
            let settled = consumer.settle(vec![(delivery.token, verdict)]).await;
            let event = match settled.unwrap().ok {
                1 if acked => "acked",
                1 => "settled",
                _ => "stale",
            };
            scene.note(event, id, attempt);
        }
    }
}

async fn letters(broker: &Embedded, clock: Clock) -> BTreeMap<String, u32> {
    let config = Config::default();
    let bus = SettlingBus::new(broker.client(config.clone()), &config, clock);
    bus.declare(&topology()).await.unwrap();
    let dead = dead_topic(SOLO, G);
    let mut consumer = bus.consumer(&dead, DEAD_GROUP, 1_000).await.unwrap();
    let mut found = BTreeMap::new();
    let second = Duration::from_secs(1);
    while let Ok(batch) = timeout(second, consumer.recv(100, Duration::ZERO)).await {
        for delivery in batch.unwrap() {
            let id = delivery.message.headers[ORIGINAL_ID].clone();
            *found.entry(id).or_default() += 1;
            let ack = vec![(delivery.token, Verdict::Ack)];
            consumer.settle(ack).await.unwrap();
        }
    }
    found
}

/// One simulation. Returns its history and its dead letters.
fn simulate(seed: u64) -> (Story, BTreeMap<String, u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let scene = Scene {
            clock: Clock::anchored(0),
            story: Arc::default(),
        };
        let broker = Embedded::memory(Config::default());
        let mut tasks = Vec::new();
        for member in 0..4 {
            let bus = client(&broker, seed * 10 + member, scene.clock);
            bus.declare(&topology()).await.unwrap();
            let scene = scene.clone();
            tasks.push(match member {
                0 => tokio::spawn(produce(bus, scene)),
                _ => tokio::spawn(consume(bus, scene)),
            });
        }
        for task in tasks {
            task.await.unwrap();
        }
        let dead = letters(&broker, scene.clock).await;
        let story = scene.story.lock().unwrap().clone();
        (story, dead)
    })
}

#[test]
fn no_seed_of_faults_loses_a_message() {
    let mut restless = 0;
    for seed in 0..60 {
        let (story, dead) = simulate(seed);
        let of = |event: &str| -> BTreeSet<String> {
            let named = story.iter().filter(|(_, name, _, _)| *name == event);
            named.map(|(_, _, id, _)| id.to_string()).collect()
        };
        let (confirmed, acked) = (of("confirmed"), of("acked"));
        assert_eq!(confirmed.len() as u64, COUNT, "seed {seed}");
        let lost: Vec<_> = confirmed
            .iter()
            .filter(|id| !acked.contains(*id) && !dead.contains_key(*id))
            .collect();
        assert!(lost.is_empty(), "seed {seed} lost {lost:?}");
        restless += of("stale").len();
    }
    assert!(restless > 0, "no consumer ever died, so nothing was tested");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [3, 14, 15] {
        assert_eq!(simulate(seed), simulate(seed));
    }
    assert_ne!(simulate(3), simulate(4));
}
