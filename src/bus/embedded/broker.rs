//! The broker itself: its topics, its clients, and what happens when they close.
//!
//! Promise: a declaration either holds as a whole or changes nothing. When the last client is closed the broker shuts
//! down: what was sent is stored, the file is released.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    super::{BusError, Link, Topic as TopicSpec, Topology},
    group::Group,
    store::Store,
    topic::Topic,
};

/// What all clients share.
#[derive(Debug)]
pub(super) struct Broker {
    topics: Mutex<BTreeMap<String, Arc<Topic>>>,
    pub(super) store: Option<Store>,
    pub(super) link: watch::Receiver<Link>,
    /// Numbers for clients and for the epochs of subscriptions; no two are equal.
    numbers: AtomicU64,
    clients: AtomicU64,
}

/// One connection to the broker.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) broker: Arc<Broker>,
    pub(super) closed: CancellationToken,
    left: AtomicBool,
}

impl Broker {
    pub(super) fn new(
        store: Option<Store>,
        link: watch::Receiver<Link>,
        topics: Vec<Arc<Topic>>,
    ) -> Self {
        let topics = topics.into_iter().map(|t| (t.name.clone(), t)).collect();
        Self {
            topics: Mutex::new(topics),
            store,
            link,
            numbers: AtomicU64::new(1),
            clients: AtomicU64::new(0),
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.topics.lock()
    }

    pub(super) fn topic(&self, name: &str) -> Result<Arc<Topic>, BusError> {
        let found = self.topics().get(name).map(Arc::clone);
        found.ok_or_else(|| BusError::Undeclared {
            name: name.to_owned(),
        })
    }

    pub(super) fn group(&self, topic: &str, group: &str) -> Result<(Arc<Topic>, usize), BusError> {
        let topic = self.topic(topic)?;
        let index = topic
            .group_index(group)
            .ok_or_else(|| BusError::Undeclared {
                name: format!("{}.{group}", topic.name),
            })?;
        Ok((topic, index))
    }

    /// Declares the whole topology, or nothing of it.
    pub(super) async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        let changed = {
            let mut topics = self.topics();
            for spec in &topology.topics {
                check(topics.get(&spec.name).map(Arc::as_ref), spec)?;
            }
            let specs = topology.topics.iter();
            let changed: Vec<_> = specs.filter_map(|spec| create(&mut topics, spec)).collect();
            let store = self.store.as_ref();
            store.map(|store| store.save_topics(&changed))
        };
        match changed {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    fn all_topics(&self) -> Vec<Arc<Topic>> {
        self.topics().values().map(Arc::clone).collect()
    }
}

/// Refuses a topic that exists with another bound.
fn check(existing: Option<&Topic>, spec: &TopicSpec) -> Result<(), BusError> {
    match existing {
        Some(topic) if topic.bytes_max != spec.bytes_max => Err(BusError::Conflict {
            name: spec.name.clone(),
            reason: format!(
                "it holds at most {} bytes and {} were asked for",
                topic.bytes_max, spec.bytes_max
            ),
            remedy: "give the topic the same `bytes_max`, or use another prefix or path".to_owned(),
            source: None,
        }),
        _ => Ok(()),
    }
}

/// Creates what is missing; returns the topic if anything was.
fn create(topics: &mut BTreeMap<String, Arc<Topic>>, spec: &TopicSpec) -> Option<Arc<Topic>> {
    if let Some(topic) = topics.get(&spec.name) {
        let added = spec.groups.iter().filter(|group| topic.add_group(group));
        return (added.count() > 0).then(|| Arc::clone(topic));
    }
    let id = u32::try_from(topics.len()).unwrap_or(u32::MAX);
    let groups = spec.groups.iter().map(|name| Group::new(name, 0)).collect();
    let topic = Arc::new(Topic::new(id, &spec.name, spec.bytes_max, groups, 0));
    topics.insert(spec.name.clone(), Arc::clone(&topic));
    Some(topic)
}

impl Client {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        broker.clients.fetch_add(1, Ordering::AcqRel);
        Self {
            id: broker.next_number(),
            broker,
            closed: CancellationToken::new(),
            left: AtomicBool::new(false),
        }
    }

    pub(super) fn check_open(&self) -> Result<(), BusError> {
        if self.closed.is_cancelled() {
            return Err(BusError::Closed);
        }
        Ok(())
    }

    /// Leaves the broker; the deliveries of its subscriptions come back. Returns whether this was the last client.
    fn leave(&self) -> bool {
        if self.left.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.closed.cancel();
        for topic in self.broker.all_topics() {
            topic.leave_all(self.id);
        }
        self.broker.clients.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Flushes and leaves; the last client shuts the store down.
    pub(super) async fn close(&self) -> Result<(), BusError> {
        if let Some(store) = &self.broker.store {
            store.flush().await?;
        }
        if self.leave()
            && let Some(store) = &self.broker.store
        {
            store.shutdown().await;
        }
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.leave()
            && let Some(store) = &self.broker.store
        {
            store.abandon();
        }
    }
}
