//! A group of its own on `features` and `y_true`: what the broker kept, seen by someone who is never killed.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use residual::{
    bus::{self, Bus, BusError, Depth, Topology, Verdict, topology::DEAD_GROUP},
    clock::Clock,
    config::Config,
    message::{Body, Features, Record, Truth, decode},
    pipeline,
};
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const GROUP: &str = "witness";

/// How much a witness can see on a bus.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Whether it looks at messages at all, or only asks how many are left.
    pub(crate) of_messages: bool,
    /// Whether a message is kept for all groups or for none, so that what it saw is what everybody got.
    pub(crate) of_all_groups: bool,
}

/// The ids that came by.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) features: HashSet<String>,
    pub(crate) truths: HashSet<String>,
}

pub(crate) struct Witness {
    runtime: Runtime,
    bus: Arc<dyn Bus>,
    topology: Topology,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Result<(), BusError>>>,
}

impl Witness {
    /// Joins, and from now on sees what is published.
    pub(crate) fn open(config: &Config, seen: &Arc<Mutex<Seen>>, sight: Sight) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let topology = topology(config, sight);
        let stop = CancellationToken::new();
        let (bus, tasks) = runtime.block_on(async {
            let bus = bus::connect(&config.bus, Clock::system(), bus::random_seed())
                .await
                .unwrap();
            bus.declare(&topology).await.unwrap();
            let mut tasks = Vec::new();
            if sight.of_messages {
                let features = look::<Features>(Arc::clone(&bus), Arc::clone(seen), stop.clone());
                let truths = look::<Truth>(Arc::clone(&bus), Arc::clone(seen), stop.clone());
                tasks.extend([tokio::spawn(features), tokio::spawn(truths)]);
            }
            (bus, tasks)
        });
        Self {
            runtime,
            bus,
            topology,
            stop,
            tasks,
        }
    }

    /// Every group with what waits for it.
    pub(crate) fn depths(&self) -> Vec<(String, String, Depth)> {
        let mut depths = Vec::new();
        for topic in &self.topology.topics {
            for group in topic.groups.iter().filter(|group| *group != DEAD_GROUP) {
                let depth = self.bus.depth(&topic.name, group);
                let depth = self.runtime.block_on(depth).unwrap();
                depths.push((topic.name.clone(), group.clone(), depth));
            }
        }
        depths
    }

    /// Waits until nothing is left for the groups that `wanted` picks. Calls `meanwhile` between two looks.
    pub(crate) fn until_empty(&self, wanted: impl Fn(&str) -> bool, mut meanwhile: impl FnMut()) {
        let begun = Instant::now();
        loop {
            let depths = self.depths();
            let left = |depth: &Depth| depth.ready + depth.in_flight;
            let mut wanted = depths.iter().filter(|(_, group, _)| wanted(group));
            if wanted.all(|(_, _, depth)| left(depth) == 0) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(150),
                "it is not processed: {depths:?}"
            );
            meanwhile();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sees everything that was kept, and leaves.
    pub(crate) fn close(self) {
        self.until_empty(|group| group == GROUP, || {});
        self.stop.cancel();
        self.runtime.block_on(async {
            for task in self.tasks {
                task.await.unwrap().unwrap();
            }
            self.bus.close().await.unwrap();
        });
    }
}

/// The pipeline's own, and the witness beside it.
fn topology(config: &Config, sight: Sight) -> Topology {
    if !sight.of_messages {
        return pipeline::topology(config);
    }
    let mut topics = pipeline::topology(config).topics;
    topics.retain(|topic| !topic.is_dead_letters());
    for topic in &mut topics {
        if [Features::TOPIC, Truth::TOPIC].contains(&topic.name.as_str()) {
            topic.groups.push(GROUP.to_owned());
        }
    }
    Topology::with_dead_letters(topics)
}

async fn look<B: Body>(
    bus: Arc<dyn Bus>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) -> Result<(), BusError> {
    let mut consumer = bus.consumer(B::TOPIC, GROUP, 256).await?;
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => break,
            batch = consumer.recv(64, Duration::ZERO) => batch?,
        };
        let mut verdicts = Vec::new();
        for delivery in batch {
            let message = delivery.message;
            let frame = decode::<B>(&message.content_type, &message.body).unwrap();
            note(&seen, B::TOPIC, frame.records);
            verdicts.push((delivery.token, Verdict::Ack));
        }
        consumer.settle(verdicts).await?;
    }
    consumer.stop().await?;
    consumer.close().await
}

fn note<B>(seen: &Mutex<Seen>, topic: &str, records: Vec<Record<B>>) {
    let mut seen = seen.lock().unwrap();
    let ids = if topic == Truth::TOPIC {
        &mut seen.truths
    } else {
        &mut seen.features
    };
    ids.extend(records.into_iter().map(|record| record.id.to_string()));
}
