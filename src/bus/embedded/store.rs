//! The broker's end of the disk: sends operations to the writer's thread and learns when they are stored.
//!
//! Promise: jobs are stored in the order in which they were asked for, and each answer comes after the fsync of the
//! commit that holds it. The queue is bounded by what asks: windows of publishers, batches of consumers.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::{
    super::{BusError, Message},
    op::{Op, TopicRecord},
    topic::{SettleOutcome, Topic},
};

/// An operation, with what becomes free and who is answered once it is stored.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) op: Op,
    /// Places in publishers' windows, free again once this is stored.
    pub(super) slots: Vec<OwnedSemaphorePermit>,
    pub(super) stored: oneshot::Sender<()>,
}

/// Sends jobs to the writer's thread.
#[derive(Debug)]
pub(super) struct Store {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    /// Set when nobody waits any more: the writer then gives up at the first failure.
    abandoned: Arc<AtomicBool>,
    finished: watch::Receiver<bool>,
}

impl Store {
    pub(super) fn new(
        jobs: mpsc::Sender<Job>,
        abandoned: Arc<AtomicBool>,
        finished: watch::Receiver<bool>,
    ) -> Self {
        Self {
            jobs: Mutex::new(Some(jobs)),
            abandoned,
            finished,
        }
    }

    /// The answer never comes (the receiver fails) when the store is shut down.
    fn submit(&self, op: Op, slots: Vec<OwnedSemaphorePermit>) -> oneshot::Receiver<()> {
        let (stored, answer) = oneshot::channel();
        if let Some(jobs) = self.jobs.lock().as_ref() {
            // A writer that is gone drops the job, and the receiver fails.
            drop(jobs.send(Job { op, slots, stored }));
        }
        answer
    }

    /// Numbers messages and sends them off in one step, so that they are stored in the order of their numbers.
    pub(super) fn append(
        &self,
        topic: &Arc<Topic>,
        items: Vec<(Message, u32)>,
        slots: Vec<OwnedSemaphorePermit>,
    ) -> oneshot::Receiver<()> {
        let mut state = topic.lock();
        let op = Op::Append {
            topic: Arc::clone(topic),
            messages: state.number(items),
        };
        self.submit(op, slots)
    }

    pub(super) fn record_attempts(
        &self,
        topic: u32,
        group: usize,
        tries: Vec<(u64, u32)>,
    ) -> oneshot::Receiver<()> {
        let group = group_number(group);
        let op = Op::Attempts {
            topic,
            group,
            tries,
        };
        self.submit(op, Vec::new())
    }

    pub(super) fn settle(
        &self,
        topic: &Topic,
        group: usize,
        outcome: SettleOutcome,
    ) -> oneshot::Receiver<()> {
        let op = Op::Done {
            topic: topic.id,
            group: group_number(group),
            groups: group_number(topic.lock().groups.len()),
            done: outcome.done,
            tries: outcome.uncounted,
        };
        self.submit(op, Vec::new())
    }

    /// Sends the topics off; the future resolves when they are stored.
    pub(super) fn save_topics(
        &self,
        topics: &[Arc<Topic>],
    ) -> impl Future<Output = Result<(), BusError>> + use<> {
        let records = topics.iter().map(|topic| TopicRecord::of(topic)).collect();
        let answer = self.submit(Op::Topics(records), Vec::new());
        async move { answer.await.map_err(|_| BusError::Closed) }
    }

    /// Waits until everything asked for so far is stored.
    pub(super) async fn flush(&self) -> Result<(), BusError> {
        let answer = self.submit(Op::Flush, Vec::new());
        answer.await.map_err(|_| BusError::Closed)
    }

    /// Takes no more jobs; the writer stores what it has and releases the file by itself.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        *self.jobs.lock() = None;
    }

    /// Takes no more jobs and waits until the file is released.
    pub(super) async fn shutdown(&self) {
        self.abandon();
        let mut finished = self.finished.clone();
        // A writer whose end of the channel is gone has finished as well.
        drop(finished.wait_for(|finished| *finished).await);
    }
}

/// Groups of a topic are few.
fn group_number(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}
