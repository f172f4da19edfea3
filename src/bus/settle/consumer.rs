//! A consumer that knows verdicts, over subscriptions that know only dispositions.
//!
//! # Slow start
//! When a consumer dies, the broker gives back everything that it had prefetched, and most brokers count each of those
//! messages as one more attempt. If the next consumer prefetched a full window again, the message that kills consumers
//! would drag its neighbours past the limit of attempts, and good messages would be dead-lettered with it.
//!
//! So a consumer begins with a subscription whose window is one. What the dead consumer left, most brokers deliver
//! first: it comes one message at a time, and the bad one is counted alone. The first message that is at its first try
//! shows that this is over: then that subscription is stopped, a second one with the full window is opened, and the
//! first is closed as soon as its last token is settled. This is why two subscriptions can feed one consumer at the
//! same time, why each delivery remembers by which it came ([`Via`]), and why tokens get numbers of this consumer's
//! own.
//!
//! # Cancellation
//! `recv` may be dropped at any await. What it has begun by then is kept in the consumer (`waiting`,
//! `dead_letter_receipt`) and carried on by the next call; a message that is acknowledged twice for that reason is
//! stale the second time.

use std::{
    collections::{BTreeMap, VecDeque},
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    super::{
        BusError, Consumer, DeadLetter, Delivery, Message, Settled, Token, Unconfirmed, Verdict,
        backend::{Backend, Disposition, Subscription},
        topology::dead_topic,
    },
    dead::{DeadLetterWriter, ONLY_GROUP},
};

/// Numbers the consumers of this process; a token of another consumer is stale.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// Where a consumer's deliveries come from.
pub(super) struct Source {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) window: usize,
    pub(super) attempts_max: u32,
}

impl Source {
    async fn subscribe(&self, window: usize) -> Result<Box<dyn Subscription>, BusError> {
        let subscribed = self.backend.subscribe(&self.topic, &self.group, window);
        subscribed.await
    }
}

/// Which subscription a delivery came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    SlowStart,
    Full,
}

/// Resolves when a dead letter is stored.
type DeadLetterReceipt = Pin<Box<dyn Future<Output = Result<(), Unconfirmed>> + Send>>;

/// Handed out and not settled.
struct HandedOut {
    via: Via,
    token: Token,
    message: Message,
    attempt: u32,
}

/// A member of a group, as the services see it.
pub(super) struct SettlingConsumer {
    source: Source,
    dead_letters: Option<DeadLetterWriter>,
    epoch: u64,
    next_tag: u64,
    handed_out: BTreeMap<u64, HandedOut>,
    /// Received and not handed out yet.
    waiting: VecDeque<(Via, Delivery)>,
    /// The receipt of the letter for the first one in `waiting`: what a dropped `recv` has begun.
    dead_letter_receipt: Option<DeadLetterReceipt>,
    slow: Option<Box<dyn Subscription>>,
    full: Option<Box<dyn Subscription>>,
    /// Whether a delivery at its first try has come: the end of the slow start.
    seen_first_try: bool,
    stopped: bool,
}

/// What is to be done with a delivery that has arrived.
enum Triage {
    HandOut,
    /// It was redriven for another group.
    AckUnseen,
    /// It has been tried too often.
    DeadLetter,
}

impl SettlingConsumer {
    pub(super) async fn open(
        source: Source,
        dead_letters: Option<DeadLetterWriter>,
    ) -> Result<Self, BusError> {
        let slow = source.subscribe(1).await?;
        Ok(Self {
            source,
            dead_letters,
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            next_tag: 0,
            handed_out: BTreeMap::new(),
            waiting: VecDeque::new(),
            dead_letter_receipt: None,
            slow: Some(slow),
            full: None,
            seen_first_try: false,
            stopped: false,
        })
    }

    /// Leaves the slow start once a delivery at its first try has come: a full subscription takes over. The slow one
    /// stays open for the token that it still has out.
    ///
    /// The delivery that ended the slow start is waiting already. What the full subscription brings within `linger`
    /// goes into the same batch, so that the first batch of a quiet topic is not one message long.
    async fn leave_slow_start(&mut self, max: usize, linger: Duration) -> Result<(), BusError> {
        if self.full.is_some() || !self.seen_first_try || self.source.window == 1 {
            return Ok(());
        }
        if let Some(slow) = &mut self.slow {
            slow.stop().await?;
        }
        self.full = Some(self.source.subscribe(self.source.window).await?);
        let missing = max.saturating_sub(self.waiting.len());
        if missing > 0 {
            // No more within the time: the batch stays as small as it is.
            timeout(linger, self.receive(missing, Duration::ZERO))
                .await
                .unwrap_or(Ok(false))?;
        }
        self.close_idle_slow().await
    }

    async fn close_idle_slow(&mut self) -> Result<(), BusError> {
        let used = self
            .handed_out
            .values()
            .any(|handed_out| handed_out.via == Via::SlowStart)
            || self.waiting.iter().any(|(via, _)| *via == Via::SlowStart);
        if self.full.is_none() || used {
            return Ok(());
        }
        match self.slow.take() {
            Some(slow) => slow.close().await,
            None => Ok(()),
        }
    }

    /// Receives into `waiting`, by the full subscription if there is one. Returns whether anything came; nothing comes
    /// only after a stop.
    async fn receive(&mut self, max: usize, linger: Duration) -> Result<bool, BusError> {
        let room = self.source.window.saturating_sub(self.outstanding());
        if room == 0 {
            // The window is full. `&mut self` is taken, so nobody can settle while this waits: the caller has to drop
            // it.
            return pending().await;
        }
        let (via, subscription) = match (&mut self.full, &mut self.slow) {
            (Some(full), _) => (Via::Full, full),
            (None, Some(slow)) => (Via::SlowStart, slow),
            (None, None) => return Err(BusError::Closed),
        };
        let deliveries = subscription.recv(max.min(room), linger).await?;
        let came = !deliveries.is_empty();
        self.seen_first_try |= deliveries.iter().any(|delivery| delivery.attempt <= 1);
        self.waiting
            .extend(deliveries.into_iter().map(|delivery| (via, delivery)));
        Ok(came)
    }

    fn outstanding(&self) -> usize {
        self.handed_out.len() + self.waiting.len()
    }

    fn triage(&self, delivery: &Delivery) -> Triage {
        let only = delivery.message.headers.get(ONLY_GROUP);
        if only.is_some_and(|group| *group != self.source.group) {
            return Triage::AckUnseen;
        }
        if self.dead_letters.is_some() && delivery.attempt > self.source.attempts_max {
            return Triage::DeadLetter;
        }
        Triage::HandOut
    }

    /// Settles what no service is to see, until the first one that waits can be handed out.
    async fn settle_unwanted(&mut self) -> Result<(), BusError> {
        while let Some((via, delivery)) = self.waiting.front() {
            let via = *via;
            match self.triage(delivery) {
                Triage::HandOut => return Ok(()),
                Triage::AckUnseen => {}
                Triage::DeadLetter => self.dead_letter_first().await?,
            }
            self.ack_first(via).await?;
        }
        Ok(())
    }

    /// Writes the letter for the first one that waits. A dropped call is carried on by the next one.
    async fn dead_letter_first(&mut self) -> Result<(), BusError> {
        if self.dead_letter_receipt.is_none()
            && let (Some(dead_letters), Some((_, delivery))) =
                (&mut self.dead_letters, self.waiting.front())
        {
            let tried = delivery.attempt - 1;
            let reason = format!("given up after {tried} attempts");
            let letter = dead_letters.letter(delivery.message.clone(), &reason, tried, 0);
            self.dead_letter_receipt = Some(dead_letters.send(vec![letter]).await?.into_future());
        }
        if let Some(dead_letter_receipt) = &mut self.dead_letter_receipt {
            let stored = dead_letter_receipt.await;
            self.dead_letter_receipt = None;
            stored.map_err(|_| BusError::Closed)?;
        }
        Ok(())
    }

    /// Acknowledges the first one that waits. Its token is copied: if this call is dropped, the next one acknowledges
    /// again, and the second time is stale.
    async fn ack_first(&mut self, via: Via) -> Result<(), BusError> {
        if let Some((_, delivery)) = self.waiting.front() {
            let Token { epoch, tag } = delivery.token;
            let ack = (Token { epoch, tag }, Disposition::Ack);
            self.dispose(via, vec![ack]).await?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// The next batch: deliveries at their first try together, one that came back alone.
    fn hand_out(&mut self, max: usize) -> Vec<Delivery> {
        let mut batch = Vec::new();
        while batch.len() < max
            && let Some((_, delivery)) = self.waiting.front()
            && matches!(self.triage(delivery), Triage::HandOut)
        {
            // It may be the one that kills consumers.
            let alone = delivery.attempt > 1;
            if alone && !batch.is_empty() {
                break;
            }
            batch.extend(self.hand_out_first());
            if alone {
                break;
            }
        }
        batch
    }

    /// Hands out the first one that waits, under a token of our own, and remembers the subscription's.
    fn hand_out_first(&mut self) -> Option<Delivery> {
        let (via, delivery) = self.waiting.pop_front()?;
        self.next_tag += 1;
        let handed_out = HandedOut {
            via,
            token: delivery.token,
            message: delivery.message.clone(),
            attempt: delivery.attempt,
        };
        self.handed_out.insert(self.next_tag, handed_out);
        let token = Token {
            epoch: self.epoch,
            tag: self.next_tag,
        };
        Some(Delivery { token, ..delivery })
    }

    async fn dispose(
        &mut self,
        via: Via,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError> {
        let subscription = match via {
            Via::SlowStart => &mut self.slow,
            Via::Full => &mut self.full,
        };
        match subscription {
            Some(subscription) if !dispositions.is_empty() => {
                subscription.settle(dispositions).await
            }
            _ => Ok(Settled {
                ok: 0,
                stale: dispositions.len(),
            }),
        }
    }

    /// Disposes of what belongs to either subscription.
    async fn dispose_all(
        &mut self,
        all: Vec<(HandedOut, Disposition)>,
    ) -> Result<Settled, BusError> {
        let (slow, full): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(handed_out, _)| handed_out.via == Via::SlowStart);
        let mut settled = Settled::default();
        for (via, part) in [(Via::SlowStart, slow), (Via::Full, full)] {
            let part = part
                .into_iter()
                .map(|(handed_out, d)| (handed_out.token, d))
                .collect();
            let done = self.dispose(via, part).await?;
            settled.ok += done.ok;
            settled.stale += done.stale;
        }
        Ok(settled)
    }

    /// Copies to the dead letters, waits for the receipt, and only then acknowledges.
    async fn dead_letter_handed_out(
        &mut self,
        dead: Vec<(HandedOut, String)>,
    ) -> Result<Settled, BusError> {
        if dead.is_empty() {
            return Ok(Settled::default());
        }
        let dead_letters = self.dead_letters()?;
        let letters = dead.iter().map(|(handed_out, reason)| {
            dead_letters.letter(handed_out.message.clone(), reason, handed_out.attempt, 0)
        });
        let letters = letters.collect();
        dead_letters.write(letters).await?;
        let acks = dead
            .into_iter()
            .map(|(handed_out, _)| (handed_out, Disposition::Ack));
        self.dispose_all(acks.collect()).await
    }

    fn dead_letters(&mut self) -> Result<&mut DeadLetterWriter, BusError> {
        let Source { topic, group, .. } = &self.source;
        let undeclared = || BusError::Undeclared {
            name: dead_topic(topic, group),
        };
        self.dead_letters.as_mut().ok_or_else(undeclared)
    }
}

#[async_trait]
impl Consumer for SettlingConsumer {
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError> {
        let max = max.max(1);
        while !self.stopped {
            self.leave_slow_start(max, linger).await?;
            self.settle_unwanted().await?;
            let batch = self.hand_out(max);
            if !batch.is_empty() {
                return Ok(batch);
            }
            if !self.receive(max, linger).await? {
                break;
            }
        }
        Ok(Vec::new())
    }

    async fn settle(&mut self, verdicts: Vec<(Token, Verdict)>) -> Result<Settled, BusError> {
        let (mut dispositions, mut dead, mut stale) = (Vec::new(), Vec::new(), 0);
        for (token, verdict) in verdicts {
            let own = (token.epoch == self.epoch).then_some(token.tag);
            let Some(handed_out) = own.and_then(|tag| self.handed_out.remove(&tag)) else {
                stale += 1;
                continue;
            };
            match verdict {
                Verdict::Ack => dispositions.push((handed_out, Disposition::Ack)),
                Verdict::Retry(delay) => dispositions.push((handed_out, Disposition::Retry(delay))),
                Verdict::Release => dispositions.push((handed_out, Disposition::Release)),
                Verdict::Dead(reason) => dead.push((handed_out, reason)),
            }
        }
        let settled = self.dispose_all(dispositions).await?;
        let dead_lettered = self.dead_letter_handed_out(dead).await?;
        self.close_idle_slow().await?;
        Ok(Settled {
            ok: settled.ok + dead_lettered.ok,
            stale: stale + settled.stale + dead_lettered.stale,
        })
    }

    async fn dead_letter(&mut self, letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let dead_letters = self.dead_letters()?;
        let letters = letters.into_iter().enumerate().map(|(part, letter)| {
            dead_letters.letter(letter.message, &letter.reason, letter.attempts, part + 1)
        });
        let letters = letters.collect();
        dead_letters.write(letters).await
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.stopped = true;
        for subscription in [&mut self.slow, &mut self.full].into_iter().flatten() {
            subscription.stop().await?;
        }
        let unseen = std::mem::take(&mut self.waiting);
        for (via, delivery) in unseen {
            let release = (delivery.token, Disposition::Release);
            self.dispose(via, vec![release]).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), BusError> {
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.close().await?;
        }
        for subscription in [self.slow.take(), self.full.take()].into_iter().flatten() {
            subscription.close().await?;
        }
        Ok(())
    }
}
