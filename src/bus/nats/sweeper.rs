//! Deletes the messages that every group has acknowledged.
//!
//! A stream with interest retention does this by itself, but not safely: restarted under load, server 2.9.10 took
//! messages for acknowledged that no consumer had seen, and dropped them (6 of 6 runs lost confirmed messages, by
//! SIGTERM as by `kill -9`; with limits retention none did). So streams keep everything, and what all groups have
//! acknowledged without a gap is deleted by whoever acknowledges, five times a second and at the end. Message by
//! message: a purge of the stream makes this server forget what its consumers have not acknowledged yet.
//!
//! Promise: nothing is deleted that a group of the topic has not acknowledged in this run of the server. A consumer of
//! an earlier run belongs to a group whose members have not come back yet, so nothing is deleted while there is one. If
//! a topic has one group, each acknowledged message is deleted. If it has several, everything up to the first message
//! that some group has not acknowledged is deleted, so one delivery that stays unsettled keeps all that came after it.
//! The price: what was acknowledged a moment before the server was restarted, or behind such a gap, is delivered again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Subject,
    jetstream::{Context, consumer, response::Response, stream},
};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::bus::remote::SessionError;

/// Acknowledgements that are remembered one by one. Others are found again once everything before them is acknowledged.
const ACKNOWLEDGED_MAX: usize = 100_000;

/// Time between two sweeps.
const PERIOD: Duration = Duration::from_millis(200);

/// One page of the broker's answer; a stream has fewer consumers than fit on one.
#[derive(Deserialize)]
struct Consumers {
    total: usize,
    consumers: Option<Vec<consumer::Info>>,
}

/// Sweeps one stream until it is dropped.
pub(super) struct Sweeper {
    state: Arc<SweepState>,
    task: JoinHandle<()>,
}

struct SweepState {
    context: Context,
    stream: String,
    /// See [`super::topology::server_run`].
    run: Option<String>,
    is_due: AtomicBool,
    /// Sequences acknowledged since the last sweep, as many as fit.
    acknowledged: Mutex<Vec<u64>>,
    /// Everything up to here was deleted by this sweeper.
    deleted_to: AtomicU64,
}

impl Sweeper {
    /// Begins with a sweep, for what an earlier sweeper left.
    pub(super) fn start(context: Context, stream: String, run: Option<String>) -> Self {
        let state = Arc::new(SweepState {
            context,
            stream,
            run,
            is_due: AtomicBool::new(true),
            acknowledged: Mutex::default(),
            deleted_to: AtomicU64::new(0),
        });
        let task = tokio::spawn(Arc::clone(&state).run());
        Self { state, task }
    }

    /// Remembers acknowledged sequences for the next sweep.
    pub(super) fn record(&self, sequences: impl Iterator<Item = u64>) {
        let mut acknowledged = self.state.acknowledged();
        let room = ACKNOWLEDGED_MAX.saturating_sub(acknowledged.len());
        acknowledged.extend(sequences.take(room));
        self.state.is_due.store(true, Ordering::Relaxed);
    }

    /// Sweeps now.
    pub(super) async fn sweep(&self) {
        // What cannot be deleted now is deleted by the next sweep, here or in another process.
        drop(self.state.sweep().await);
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SweepState {
    async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PERIOD).await;
            if self.is_due.swap(false, Ordering::Relaxed) && self.sweep().await.is_err() {
                self.is_due.store(true, Ordering::Relaxed);
            }
        }
    }

    fn acknowledged(&self) -> MutexGuard<'_, Vec<u64>> {
        self.acknowledged.lock()
    }

    async fn sweep(&self) -> Result<(), SessionError> {
        // Taken before the consumers are listed: a group that joins in between wants only later messages.
        let acknowledged = std::mem::take(&mut *self.acknowledged());
        let Some(consumers) = self.consumers().await? else {
            return Ok(());
        };
        let floors = consumers.iter().map(|info| info.ack_floor.stream_sequence);
        let floor = floors.min().unwrap_or(0);
        if floor > self.deleted_to.load(Ordering::Relaxed) {
            self.delete_to(floor).await?;
        }
        if consumers.len() == 1 {
            let beyond = acknowledged.into_iter().filter(|at| *at > floor);
            self.delete(beyond).await?;
        }
        Ok(())
    }

    /// The consumers of every group; none if the list is incomplete or has consumers of an earlier run.
    async fn consumers(&self) -> Result<Option<Vec<consumer::Info>>, SessionError> {
        let subject = format!("CONSUMER.LIST.{}", self.stream);
        let Consumers { total, consumers } = self.ask(subject, &json!({})).await?;
        let consumers = consumers.unwrap_or_default();
        let are_of_this_run = consumers.iter().all(|info| match &self.run {
            Some(run) => info.name.rsplit('@').next() == Some(run),
            None => true,
        });
        Ok((consumers.len() == total && are_of_this_run).then_some(consumers))
    }

    async fn delete_to(&self, floor: u64) -> Result<(), SessionError> {
        let subject = format!("STREAM.INFO.{}", self.stream);
        let stream: stream::Info = self.ask(subject, &json!({})).await?;
        let deleted_to = self.deleted_to.load(Ordering::Relaxed);
        let first = stream.state.first_sequence.max(deleted_to + 1);
        self.delete(first..=floor).await?;
        self.deleted_to.store(floor, Ordering::Relaxed);
        Ok(())
    }

    /// The answers are not awaited: what was not deleted is found again by a later sweep.
    async fn delete(&self, sequences: impl Iterator<Item = u64>) -> Result<(), SessionError> {
        let client = self.context.client();
        let subject = Subject::from(format!("$JS.API.STREAM.MSG.DELETE.{}", self.stream));
        for sequence in sequences {
            let request = format!(r#"{{"seq":{sequence},"no_erase":true}}"#);
            let sent = client.publish(subject.clone(), request.into()).await;
            sent.map_err(|error| SessionError::failed("the deletion", error))?;
        }
        Ok(())
    }

    async fn ask<A: serde::de::DeserializeOwned>(
        &self,
        subject: String,
        question: &Value,
    ) -> Result<A, SessionError> {
        const OPERATION: &str = "the request for what can be deleted";
        match self.context.request(subject, question).await {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) => Err(SessionError::failed(OPERATION, error)),
            Err(error) => Err(SessionError::failed(OPERATION, error)),
        }
    }
}
