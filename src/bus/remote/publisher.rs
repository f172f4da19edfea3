//! Windowed publishing that outlives sessions: what is not confirmed is sent again on the next one.
//!
//! The caller's end, [`RemotePublisher`], waits for room in the window and hands messages to a task, the
//! [`PublishTask`], which owns each of them until the broker confirms it. The window is enforced by a semaphore: a
//! permit travels with the message and is dropped with it. The receipt of a batch is counted the same way: every
//! message carries a [`ConfirmGuard`] of its [`PendingReceipt`], and when the last guard is dropped the receipt
//! resolves. So a receipt resolves even if the task is gone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Answer, Outlet, SessionError,
    backoff::Backoff,
    link::{Link, LiveSession},
    sleep_until_some,
};
use crate::{
    bus::{BusError, Message, Publisher, Receipt, Unconfirmed},
    telemetry::with_causes,
};

/// Bytes of headers that a message may carry.
pub(in crate::bus) const HEADERS_MAX: usize = 16 << 10;

/// The caller's end of a publisher.
pub(super) struct RemotePublisher {
    link: Link,
    window: usize,
    body_max: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    outgoing: mpsc::UnboundedSender<PendingMessage>,
    /// Whether all was confirmed.
    finished: oneshot::Receiver<bool>,
}

/// A message on its way, with its permit from the window and its part of the receipt.
struct PendingMessage {
    message: Message,
    guard: ConfirmGuard,
    /// Given back to the window when the message is confirmed.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A message's part of a receipt: dropped without [`ConfirmGuard::confirm`] it counts as unconfirmed.
struct ConfirmGuard {
    id: Option<Uuid>,
    batch: Arc<PendingReceipt>,
}

impl ConfirmGuard {
    fn confirm(mut self) {
        self.id = None;
    }
}

impl Drop for ConfirmGuard {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.batch.unconfirmed.lock().push(id);
        }
    }
}

/// The receipt's other end: it resolves when the last guard is dropped, whatever became of the task that held it.
struct PendingReceipt {
    unconfirmed: Mutex<Vec<Uuid>>,
    resolve: Mutex<Option<oneshot::Sender<Result<(), Unconfirmed>>>>,
}

impl Drop for PendingReceipt {
    fn drop(&mut self) {
        let ids = std::mem::take(self.unconfirmed.get_mut());
        if let Some(resolve) = self.resolve.get_mut().take() {
            let outcome = if ids.is_empty() {
                Ok(())
            } else {
                Err(Unconfirmed { ids })
            };
            // Nobody waits for it any more if this fails.
            drop(resolve.send(outcome));
        }
    }
}

impl RemotePublisher {
    /// Starts the task that sends.
    pub(super) fn open(
        link: Link,
        topic: &str,
        routed: bool,
        window: usize,
        body_max: Arc<AtomicUsize>,
        backoff: Backoff,
    ) -> Self {
        let window = window.clamp(1, Semaphore::MAX_PERMITS);
        let (outgoing, incoming) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        let task = PublishTask {
            link: link.clone(),
            topic: topic.to_owned(),
            routed,
            incoming,
            open: true,
            next: 0,
            unsent: BTreeMap::new(),
            sent: BTreeMap::new(),
            send_window: SendWindow::new(window, backoff),
        };
        tokio::spawn(async move {
            // The publisher may have been dropped.
            finish.send(task.run().await).ok();
        });
        Self {
            link,
            window,
            body_max,
            room: Arc::new(Semaphore::new(window)),
            outgoing,
            finished,
        }
    }

    fn check_sizes(&self, messages: &[Message]) -> Result<(), BusError> {
        let body_max = self.body_max.load(Ordering::Relaxed);
        for message in messages {
            let headers = message
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
                + message.content_type.len();
            for (size, max) in [(message.body.len(), body_max), (headers, HEADERS_MAX)] {
                if size > max {
                    return Err(BusError::TooLarge { size, max });
                }
            }
        }
        Ok(())
    }

    async fn acquire(&self, count: usize) -> Result<OwnedSemaphorePermit, BusError> {
        let wanted = u32::try_from(count.min(self.window)).unwrap_or(u32::MAX);
        Arc::clone(&self.room)
            .acquire_many_owned(wanted)
            .await
            .map_err(|_| BusError::Closed)
    }
}

#[async_trait]
impl Publisher for RemotePublisher {
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Receipt, BusError> {
        self.check_sizes(&messages)?;
        if self.link.is_closed() || self.outgoing.is_closed() {
            return Err(BusError::Closed);
        }
        let mut room = tokio::select! {
            biased;
            () = self.outgoing.closed() => return Err(BusError::Closed),
            room = self.acquire(messages.len()) => room?,
        };
        let (resolve, resolved) = oneshot::channel();
        let ids = messages.iter().map(|message| message.id).collect();
        let batch = Arc::new(PendingReceipt {
            unconfirmed: Mutex::new(Vec::new()),
            resolve: Mutex::new(Some(resolve)),
        });
        let beyond_window = messages.len().saturating_sub(self.window);
        for (index, message) in messages.into_iter().enumerate() {
            let guard = ConfirmGuard {
                id: Some(message.id),
                batch: Arc::clone(&batch),
            };
            let room = if index < beyond_window {
                None
            } else {
                room.split(1)
            };
            // If the task is gone the guard is dropped here, and the receipt reports the message.
            drop(self.outgoing.send(PendingMessage {
                message,
                guard,
                _permit: room,
            }));
        }
        drop(batch);
        Ok(Receipt::new(async move {
            resolved.await.unwrap_or(Err(Unconfirmed { ids }))
        }))
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        let Self {
            outgoing, finished, ..
        } = *self;
        drop(outgoing);
        match finished.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(BusError::Closed),
        }
    }
}

/// How many messages may be unconfirmed now, in the manner of TCP's congestion window: after the broker had no room it
/// is one, behind a pause, and each confirmation doubles it up to the whole window.
struct SendWindow {
    window: usize,
    limit: usize,
    full: bool,
    paused_until: Option<Instant>,
    backoff: Backoff,
}

impl SendWindow {
    fn new(window: usize, backoff: Backoff) -> Self {
        Self {
            window,
            limit: window,
            full: false,
            paused_until: None,
            backoff,
        }
    }

    /// The broker has no room: pause, then try a single message.
    fn back_off(&mut self) {
        if self.paused_until.is_none() {
            self.limit = 1;
            self.paused_until = Some(Instant::now() + self.backoff.next_wait());
        }
    }

    /// The broker took one: allow twice as many.
    fn grow(&mut self) {
        if self.paused_until.is_none() {
            self.limit = self.limit.saturating_mul(2).min(self.window);
            self.backoff.reset();
        }
    }
}

/// Owns every message between `publish` and its confirmation.
struct PublishTask {
    link: Link,
    topic: String,
    routed: bool,
    incoming: mpsc::UnboundedReceiver<PendingMessage>,
    open: bool,
    next: u64,
    unsent: BTreeMap<u64, PendingMessage>,
    sent: BTreeMap<u64, PendingMessage>,
    send_window: SendWindow,
}

type Confirms = FuturesUnordered<BoxFuture<'static, (u64, Answer)>>;

impl PublishTask {
    /// Returns whether all that it was given is confirmed.
    async fn run(mut self) -> bool {
        let mut epoch = 0;
        while let Some(session) = self.next_session(epoch).await {
            epoch = session.epoch;
            if let Err(error) = self.drive(&session).await {
                session.end(error);
                self.unsent.append(&mut self.sent);
            }
        }
        // As with an intake's commands: a message that is being sent into the channel right now is waited for, so that
        // its receipt resolves.
        self.incoming.close();
        while let Some(pending) = self.incoming.recv().await {
            self.enqueue(Some(pending));
        }
        self.unsent.is_empty() && self.sent.is_empty()
    }

    /// The next session; none once there is no more work for one, or the link is closed.
    async fn next_session(&mut self, epoch: u64) -> Option<Arc<LiveSession>> {
        let link = self.link.clone();
        let session = link.session_after(epoch);
        tokio::pin!(session);
        while self.has_work() {
            tokio::select! {
                biased;
                session = &mut session => return session.ok(),
                pending = self.incoming.recv(), if self.open => self.enqueue(pending),
            }
        }
        None
    }

    fn has_work(&self) -> bool {
        self.open || !self.unsent.is_empty() || !self.sent.is_empty()
    }

    /// Sends and confirms on one session until all is done (`Ok`) or the session is over.
    async fn drive(&mut self, session: &LiveSession) -> Result<(), SessionError> {
        let mut outlet = tokio::select! {
            error = session.ended() => return Err(error),
            outlet = session.session.outlet(&self.topic, self.routed) => outlet?,
        };
        let ended = session.ended();
        tokio::pin!(ended);
        let mut confirms = Confirms::new();
        while self.has_work() {
            while self.may_send() {
                tokio::select! {
                    biased;
                    error = &mut ended => return Err(error),
                    sent = self.send_first(outlet.as_mut(), &mut confirms) => sent?,
                }
                if self.take_ready_answers(&mut confirms)? {
                    break;
                }
            }
            tokio::select! {
                biased;
                error = &mut ended => return Err(error),
                Some((number, answer)) = confirms.next() => self.on_answer(number, answer)?,
                () = sleep_until_some(self.send_window.paused_until) => self.send_window.paused_until = None,
                pending = self.incoming.recv(), if self.open => self.enqueue(pending),
            }
        }
        Ok(())
    }

    fn may_send(&self) -> bool {
        !self.unsent.is_empty()
            && self.sent.len() < self.send_window.limit
            && self.send_window.paused_until.is_none()
    }

    fn enqueue(&mut self, pending: Option<PendingMessage>) {
        match pending {
            None => self.open = false,
            Some(pending) => {
                self.unsent.insert(self.next, pending);
                self.next += 1;
            }
        }
    }

    async fn send_first(
        &mut self,
        outlet: &mut dyn Outlet,
        confirms: &mut Confirms,
    ) -> Result<(), SessionError> {
        let Some((number, pending)) = self.unsent.pop_first() else {
            return Ok(());
        };
        // It counts as sent before it is: if this future is dropped half-way, the message is sent again.
        let message = pending.message.clone();
        self.sent.insert(number, pending);
        let answer = outlet.send(&message).await?;
        confirms.push(Box::pin(async move { (number, answer.await) }));
        Ok(())
    }

    /// Takes the answers that are there without waiting; true if one of them made the window back off.
    fn take_ready_answers(&mut self, confirms: &mut Confirms) -> Result<bool, SessionError> {
        use futures::FutureExt;
        while let Some(Some((number, answer))) = confirms.next().now_or_never() {
            self.on_answer(number, answer)?;
        }
        Ok(self.send_window.paused_until.is_some())
    }

    fn on_answer(&mut self, number: u64, answer: Answer) -> Result<(), SessionError> {
        match answer {
            Answer::Stored => {
                if let Some(pending) = self.sent.remove(&number) {
                    pending.guard.confirm();
                }
                self.send_window.grow();
                if self.send_window.paused_until.is_none()
                    && std::mem::take(&mut self.send_window.full)
                {
                    info!(topic = self.topic, "the topic has room again");
                }
            }
            Answer::Full(error) => {
                if !std::mem::replace(&mut self.send_window.full, true) {
                    let reason = with_causes(&error);
                    warn!(
                        topic = self.topic,
                        reason, "the topic is full, publishers wait"
                    );
                }
                self.send_window.back_off();
                self.requeue(number);
            }
            Answer::TimedOut => self.requeue(number),
            Answer::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn requeue(&mut self, number: u64) {
        if let Some(pending) = self.sent.remove(&number) {
            self.unsent.insert(number, pending);
        }
    }
}
