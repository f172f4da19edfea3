//! A member of a group of the embedded broker.
//!
//! Promise: a subscription keeps what it was given until it settles it: there is no lease to run out. When it is
//! dropped, all of it is back with the group in the same instant, counted as a try; when it is closed, uncounted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    super::{
        BusError, Delivery, Settled, Token,
        backend::{Disposition, Subscription},
    },
    broker::Client,
    topic::Topic,
};

/// A member of a group.
pub(super) struct EmbeddedSubscription {
    client: Arc<Client>,
    topic: Arc<Topic>,
    wakeup: Arc<Notify>,
    /// The group's index in the topic, and this member's epoch in the group.
    member: (usize, u64),
    window: usize,
    stopped: bool,
    /// Received from the group and not yet handed out: a dropped `recv` leaves them here.
    received: Vec<Delivery>,
    /// The commits that put the tries of what was received on record.
    recorded: Vec<oneshot::Receiver<()>>,
    left: bool,
}

impl EmbeddedSubscription {
    pub(super) fn new(client: Arc<Client>, topic: Arc<Topic>, group: usize, window: usize) -> Self {
        let epoch = client.broker.next_number();
        topic.lock().groups[group].join(epoch, client.id);
        Self {
            wakeup: topic.wakeup(group),
            client,
            topic,
            member: (group, epoch),
            window: window.max(1),
            stopped: false,
            received: Vec::new(),
            recorded: Vec::new(),
            left: false,
        }
    }

    /// Takes what is ready; returns when the next delayed message is due.
    fn fetch(&mut self, max: usize) -> Option<Instant> {
        let wanted = max.saturating_sub(self.received.len());
        let (taken, due) = self.topic.deliver(self.member, self.window, wanted);
        if let Some(store) = &self.client.broker.store
            && !taken.is_empty()
        {
            let tries = taken.iter().map(|(t, _)| (t.seq, t.attempt)).collect();
            let recorded = store.record_attempts(self.topic.id, self.member.0, tries);
            self.recorded.push(recorded);
        }
        let epoch = self.member.1;
        self.received
            .extend(taken.into_iter().map(|(taken, message)| Delivery {
                message,
                attempt: taken.attempt,
                token: Token {
                    epoch,
                    tag: taken.tag,
                },
            }));
        due
    }

    fn has_room(&self) -> bool {
        let (group, epoch) = self.member;
        self.topic.lock().groups[group].held_by(epoch) < self.window
    }

    /// Waits until the group may have something for this member.
    async fn wait(&self, due: Option<Instant>) -> Result<(), BusError> {
        let has_room = self.has_room();
        tokio::select! {
            biased;
            () = self.client.closed.cancelled() => Err(BusError::Closed),
            () = self.wakeup.notified(), if has_room => Ok(()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && has_room => Ok(()),
        }
    }

    /// Waits until the tries of what was received are on record, so that a crash is counted.
    async fn recorded(&mut self) -> Result<(), BusError> {
        while let Some(recorded) = self.recorded.last_mut() {
            recorded.await.map_err(|_| BusError::Closed)?;
            self.recorded.pop();
        }
        Ok(())
    }

    async fn leave(&mut self, cleanly: bool) {
        self.left = true;
        let uncounted = self.topic.leave(self.member, cleanly);
        if let Some(store) = &self.client.broker.store
            && !uncounted.is_empty()
        {
            // A store that was shut down records nothing any more.
            let recorded = store.record_attempts(self.topic.id, self.member.0, uncounted);
            drop(recorded.await);
        }
    }
}

#[async_trait]
impl Subscription for EmbeddedSubscription {
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError> {
        if self.stopped {
            return Ok(Vec::new());
        }
        self.client.check_open()?;
        let max = max.max(1);
        let mut due = self.fetch(max);
        while self.received.is_empty() {
            self.wait(due).await?;
            due = self.fetch(max);
        }
        let end = Instant::now().checked_add(linger);
        while !linger.is_zero() && self.received.len() < max && self.has_room() {
            let next = [due, end].into_iter().flatten().min();
            self.wait(next).await?;
            due = self.fetch(max);
            if end.is_some_and(|end| end <= Instant::now()) {
                break;
            }
        }
        self.recorded().await?;
        Ok(std::mem::take(&mut self.received))
    }

    async fn settle(
        &mut self,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError> {
        self.client.check_open()?;
        let asked = dispositions.len();
        let epoch = self.member.1;
        let own = dispositions
            .into_iter()
            .filter(|(token, _)| token.epoch == epoch)
            .map(|(token, disposition)| (token.tag, disposition));
        let outcome = self.topic.settle(self.member, own);
        let settled = Settled {
            ok: outcome.ok,
            stale: asked - outcome.ok,
        };
        if let Some(store) = &self.client.broker.store
            && (!outcome.done.is_empty() || !outcome.uncounted.is_empty())
        {
            let stored = store.settle(&self.topic, self.member.0, outcome);
            stored.await.map_err(|_| BusError::Closed)?;
        }
        Ok(settled)
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.stopped = true;
        let unseen = std::mem::take(&mut self.received).into_iter();
        let released = unseen.map(|delivery| (delivery.token, Disposition::Release));
        self.settle(released.collect()).await.map(drop)
    }

    async fn close(mut self: Box<Self>) -> Result<(), BusError> {
        self.client.check_open()?;
        self.leave(true).await;
        Ok(())
    }
}

impl Drop for EmbeddedSubscription {
    fn drop(&mut self) {
        if !self.left {
            self.topic.leave(self.member, false);
        }
    }
}
