//! A consumer with verdicts over a subscription with dispositions.
//!
//! Tokens are renamed here, so that one consumer can be fed by two subscriptions: the slow start's with a window of
//! one, and the full one that follows it.

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

/// Lives of consumers in this process; a token of another life is stale.
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
enum Feed {
    Slow,
    Full,
}

/// A letter on its way to the broker.
type Burial = Pin<Box<dyn Future<Output = Result<(), Unconfirmed>> + Send>>;

/// Handed out and not settled.
struct Held {
    feed: Feed,
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
    held: BTreeMap<u64, Held>,
    /// Received and not handed out yet.
    waiting: VecDeque<(Feed, Delivery)>,
    /// The receipt of the letter for the first one that waits: a dropped `recv` goes on with it.
    burial: Option<Burial>,
    slow: Option<Box<dyn Subscription>>,
    full: Option<Box<dyn Subscription>>,
    seen_fresh: bool,
    stopped: bool,
}

/// What has to be done with a delivery before anyone sees it.
enum Sorted {
    HandOut,
    AckUnseen,
    Bury,
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
            held: BTreeMap::new(),
            waiting: VecDeque::new(),
            burial: None,
            slow: Some(slow),
            full: None,
            seen_fresh: false,
            stopped: false,
        })
    }

    /// Leaves the slow start: a full subscription takes over and fills up the batch that was begun; the first one
    /// stays for its token.
    async fn speed_up(&mut self, max: usize, linger: Duration) -> Result<(), BusError> {
        if self.full.is_some() || !self.seen_fresh || self.source.window == 1 {
            return Ok(());
        }
        if let Some(slow) = &mut self.slow {
            slow.stop().await?;
        }
        self.full = Some(self.source.subscribe(self.source.window).await?);
        let missing = max.saturating_sub(self.waiting.len());
        if missing > 0 {
            // A batch that stays smaller than it could be is no error.
            timeout(linger, self.pull(missing, Duration::ZERO))
                .await
                .unwrap_or(Ok(false))?;
        }
        self.close_idle_slow().await
    }

    async fn close_idle_slow(&mut self) -> Result<(), BusError> {
        let used = self.held.values().any(|held| held.feed == Feed::Slow)
            || self.waiting.iter().any(|(feed, _)| *feed == Feed::Slow);
        if self.full.is_none() || used {
            return Ok(());
        }
        match self.slow.take() {
            Some(slow) => slow.close().await,
            None => Ok(()),
        }
    }

    /// Receives into `waiting`. Returns whether anything came; nothing comes only after a stop.
    async fn pull(&mut self, max: usize, linger: Duration) -> Result<bool, BusError> {
        let room = self.source.window.saturating_sub(self.outstanding());
        if room == 0 {
            return pending().await;
        }
        let (feed, subscription) = match (&mut self.full, &mut self.slow) {
            (Some(full), _) => (Feed::Full, full),
            (None, Some(slow)) => (Feed::Slow, slow),
            (None, None) => return Err(BusError::Closed),
        };
        let deliveries = subscription.recv(max.min(room), linger).await?;
        let came = !deliveries.is_empty();
        self.seen_fresh |= deliveries.iter().any(|delivery| delivery.attempt <= 1);
        self.waiting
            .extend(deliveries.into_iter().map(|delivery| (feed, delivery)));
        Ok(came)
    }

    fn outstanding(&self) -> usize {
        self.held.len() + self.waiting.len()
    }

    fn sorted(&self, delivery: &Delivery) -> Sorted {
        let only = delivery.message.headers.get(ONLY_GROUP);
        if only.is_some_and(|group| *group != self.source.group) {
            return Sorted::AckUnseen;
        }
        if self.dead_letters.is_some() && delivery.attempt > self.source.attempts_max {
            return Sorted::Bury;
        }
        Sorted::HandOut
    }

    /// Gets the first one that waits out of the way until it is one to be handed out.
    async fn sort(&mut self) -> Result<(), BusError> {
        while let Some((feed, delivery)) = self.waiting.front() {
            let feed = *feed;
            match self.sorted(delivery) {
                Sorted::HandOut => return Ok(()),
                Sorted::AckUnseen => {}
                Sorted::Bury => self.bury_first().await?,
            }
            self.ack_first(feed).await?;
        }
        Ok(())
    }

    /// Writes the letter for the first one that waits. A dropped call is carried on by the next one.
    async fn bury_first(&mut self) -> Result<(), BusError> {
        if self.burial.is_none()
            && let (Some(dead_letters), Some((_, delivery))) =
                (&mut self.dead_letters, self.waiting.front())
        {
            let tried = delivery.attempt - 1;
            let reason = format!("given up after {tried} attempts");
            let letter = dead_letters.letter(delivery.message.clone(), &reason, tried, 0);
            self.burial = Some(dead_letters.send(vec![letter]).await?.into_future());
        }
        if let Some(burial) = &mut self.burial {
            let buried = burial.await;
            self.burial = None;
            buried.map_err(|_| BusError::Closed)?;
        }
        Ok(())
    }

    /// Acks the first one that waits. The token is copied: a dropped call acks again, and the second is stale.
    async fn ack_first(&mut self, feed: Feed) -> Result<(), BusError> {
        if let Some((_, delivery)) = self.waiting.front() {
            let Token { epoch, tag } = delivery.token;
            let ack = (Token { epoch, tag }, Disposition::Ack);
            self.dispose(feed, vec![ack]).await?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// The next batch: fresh ones together, one that came back alone.
    fn hand_out(&mut self, max: usize) -> Vec<Delivery> {
        let mut batch = Vec::new();
        while batch.len() < max
            && let Some((_, delivery)) = self.waiting.front()
            && matches!(self.sorted(delivery), Sorted::HandOut)
        {
            let alone = delivery.attempt > 1;
            if alone && !batch.is_empty() {
                break;
            }
            batch.extend(self.lend_first());
            if alone {
                break;
            }
        }
        batch
    }

    /// Renames the token of the first one that waits, and remembers what is on loan.
    fn lend_first(&mut self) -> Option<Delivery> {
        let (feed, delivery) = self.waiting.pop_front()?;
        self.next_tag += 1;
        let held = Held {
            feed,
            token: delivery.token,
            message: delivery.message.clone(),
            attempt: delivery.attempt,
        };
        self.held.insert(self.next_tag, held);
        let token = Token {
            epoch: self.epoch,
            tag: self.next_tag,
        };
        Some(Delivery { token, ..delivery })
    }

    async fn dispose(
        &mut self,
        feed: Feed,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError> {
        let subscription = match feed {
            Feed::Slow => &mut self.slow,
            Feed::Full => &mut self.full,
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
    async fn dispose_all(&mut self, all: Vec<(Held, Disposition)>) -> Result<Settled, BusError> {
        let (slow, full): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(held, _)| held.feed == Feed::Slow);
        let mut settled = Settled::default();
        for (feed, part) in [(Feed::Slow, slow), (Feed::Full, full)] {
            let part = part.into_iter().map(|(held, d)| (held.token, d)).collect();
            let done = self.dispose(feed, part).await?;
            settled.ok += done.ok;
            settled.stale += done.stale;
        }
        Ok(settled)
    }

    /// Copies to the dead letters, waits for the receipt, acks.
    async fn bury_held(&mut self, dead: Vec<(Held, String)>) -> Result<Settled, BusError> {
        if dead.is_empty() {
            return Ok(Settled::default());
        }
        let dead_letters = self.dead_letters()?;
        let letters = dead.iter().map(|(held, reason)| {
            dead_letters.letter(held.message.clone(), reason, held.attempt, 0)
        });
        let letters = letters.collect();
        dead_letters.bury(letters).await?;
        let acks = dead.into_iter().map(|(held, _)| (held, Disposition::Ack));
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
            self.speed_up(max, linger).await?;
            self.sort().await?;
            let batch = self.hand_out(max);
            if !batch.is_empty() {
                return Ok(batch);
            }
            if !self.pull(max, linger).await? {
                break;
            }
        }
        Ok(Vec::new())
    }

    async fn settle(&mut self, verdicts: Vec<(Token, Verdict)>) -> Result<Settled, BusError> {
        let (mut dispositions, mut dead, mut stale) = (Vec::new(), Vec::new(), 0);
        for (token, verdict) in verdicts {
            let own = (token.epoch == self.epoch).then_some(token.tag);
            let Some(held) = own.and_then(|tag| self.held.remove(&tag)) else {
                stale += 1;
                continue;
            };
            match verdict {
                Verdict::Ack => dispositions.push((held, Disposition::Ack)),
                Verdict::Retry(delay) => dispositions.push((held, Disposition::Retry(delay))),
                Verdict::Release => dispositions.push((held, Disposition::Release)),
                Verdict::Dead(reason) => dead.push((held, reason)),
            }
        }
        let settled = self.dispose_all(dispositions).await?;
        let buried = self.bury_held(dead).await?;
        self.close_idle_slow().await?;
        Ok(Settled {
            ok: settled.ok + buried.ok,
            stale: stale + settled.stale + buried.stale,
        })
    }

    async fn bury(&mut self, letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let dead_letters = self.dead_letters()?;
        let letters = letters.into_iter().enumerate().map(|(part, letter)| {
            dead_letters.letter(letter.message, &letter.reason, letter.attempts, part + 1)
        });
        let letters = letters.collect();
        dead_letters.bury(letters).await
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.stopped = true;
        for subscription in [&mut self.slow, &mut self.full].into_iter().flatten() {
            subscription.stop().await?;
        }
        let unseen = std::mem::take(&mut self.waiting);
        for (feed, delivery) in unseen {
            let release = (delivery.token, Disposition::Release);
            self.dispose(feed, vec![release]).await?;
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
