//! A backend that misbehaves as brokers may, by a seed: for simulations, and only with the feature `testing`.
//!
//! Promise: it breaks none of the bus's promises 1 to 4; it only makes often what may happen. Messages are sent twice
//! (as after a lost confirm), everything takes a while, receipts come late, deliveries are taken back before they
//! are handed out (as by a consumer that died with them), and consumers die and are replaced, which makes their
//! tokens stale. The same seed on the same runtime does the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tokio::{sync::watch, time::sleep};

use super::{
    BrokerInfo, BusError, Capabilities, Delivery, Depth, Link, Message, Publisher, Receipt,
    Settled, Token, Topology,
    backend::{Backend, Disposition, Subscription},
};

/// How often what happens. Probabilities are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// A batch is published twice.
    pub duplicate: f64,
    /// A delivery is taken back before it is handed out, counted as a try.
    pub revoke: f64,
    /// The consumer dies before a receive or a settlement: all that it holds goes back, counted as tries.
    pub crash: f64,
    /// The longest delay before each call and before each receipt.
    pub delay_max: Duration,
}

impl Faults {
    /// Nothing happens.
    pub const NONE: Self = Self {
        duplicate: 0.0,
        revoke: 0.0,
        crash: 0.0,
        delay_max: Duration::ZERO,
    };
}

/// Faults and the random numbers that decide about them.
#[derive(Debug)]
struct FaultRng {
    faults: Faults,
    rng: ChaCha8Rng,
}

impl FaultRng {
    fn happens(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    fn delay(&mut self) -> Duration {
        self.faults.delay_max.mul_f64(self.rng.random::<f64>())
    }
}

/// A [`Backend`] with faults.
#[derive(Debug)]
pub struct Chaos {
    inner: Arc<dyn Backend>,
    faults: Faults,
    seeds: Mutex<ChaCha8Rng>,
    epochs: Arc<AtomicU64>,
}

impl Chaos {
    /// Makes that backend misbehave.
    #[must_use]
    pub fn new(inner: impl Backend, faults: Faults, seed: u64) -> Self {
        Self {
            inner: Arc::new(inner),
            faults,
            seeds: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            epochs: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Random numbers for one publisher or subscription, so that others do not disturb its sequence.
    fn rng(&self) -> FaultRng {
        FaultRng {
            faults: self.faults,
            rng: ChaCha8Rng::seed_from_u64(self.seeds.lock().random()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for Chaos {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        self.inner.describe().await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.inner.declare(topology).await
    }

    async fn publisher(&self, topic: &str) -> Result<Box<dyn Publisher>, BusError> {
        let inner = self.inner.publisher(topic).await?;
        let rng = self.rng();
        Ok(Box::new(ChaosPublisher { inner, rng }))
    }

    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let inner = self.inner.subscribe(topic, group, window).await?;
        Ok(Box::new(ChaosSubscription {
            backend: Arc::clone(&self.inner),
            topic: topic.to_owned(),
            group: group.to_owned(),
            window,
            rng: self.rng(),
            epochs: Arc::clone(&self.epochs),
            epoch: self.epochs.fetch_add(1, Ordering::Relaxed),
            next_tag: 0,
            handed_out: BTreeMap::new(),
            ready: Vec::new(),
            revoked: Vec::new(),
            inner: Some(inner),
            stopped: false,
        }))
    }

    async fn depth(&self, topic: &str, group: &str) -> Result<Depth, BusError> {
        self.inner.depth(topic, group).await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

struct ChaosPublisher {
    inner: Box<dyn Publisher>,
    rng: FaultRng,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Publisher for ChaosPublisher {
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Receipt, BusError> {
        sleep(self.rng.delay()).await;
        let again = self
            .rng
            .happens(self.rng.faults.duplicate)
            .then(|| messages.clone());
        let first = self.inner.publish(messages).await?;
        let second = match again {
            // The first is on its way; a second that fails is only a repeat less.
            Some(messages) => self.inner.publish(messages).await.ok(),
            None => None,
        };
        let late = self.rng.delay();
        Ok(Receipt::new(async move {
            first.await?;
            if let Some(second) = second {
                second.await?;
            }
            sleep(late).await;
            Ok(())
        }))
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        self.inner.close().await
    }
}

struct ChaosSubscription {
    backend: Arc<dyn Backend>,
    topic: String,
    group: String,
    window: usize,
    rng: FaultRng,
    epochs: Arc<AtomicU64>,
    /// Raised by each crash; the tokens carry it.
    epoch: u64,
    next_tag: u64,
    handed_out: BTreeMap<u64, Token>,
    /// Received and not handed out: a dropped `recv` leaves them here.
    ready: Vec<Delivery>,
    revoked: Vec<Token>,
    /// None between a crash and the next subscription.
    inner: Option<Box<dyn Subscription>>,
    stopped: bool,
}

impl ChaosSubscription {
    fn maybe_crash(&mut self) {
        if self.stopped || !self.rng.happens(self.rng.faults.crash) {
            return;
        }
        self.inner = None;
        self.handed_out.clear();
        self.ready.clear();
        self.revoked.clear();
        self.epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
    }

    async fn inner(&mut self) -> Result<&mut Box<dyn Subscription>, BusError> {
        let inner = if let Some(inner) = self.inner.take() {
            inner
        } else {
            let subscribed = self
                .backend
                .subscribe(&self.topic, &self.group, self.window);
            subscribed.await?
        };
        Ok(self.inner.insert(inner))
    }

    /// Divides what came into what is handed out and what is revoked.
    fn sort_batch(&mut self, batch: Vec<Delivery>) {
        for delivery in batch {
            if self.rng.happens(self.rng.faults.revoke) {
                self.revoked.push(delivery.token);
                continue;
            }
            self.next_tag += 1;
            self.handed_out.insert(self.next_tag, delivery.token);
            let token = Token {
                epoch: self.epoch,
                tag: self.next_tag,
            };
            self.ready.push(Delivery { token, ..delivery });
        }
    }

    /// Gives back what was taken back. A dropped call does it again, and the second time is stale.
    async fn return_revoked(&mut self) -> Result<(), BusError> {
        if self.revoked.is_empty() {
            return Ok(());
        }
        let delay = self.rng.delay();
        let copies = self
            .revoked
            .iter()
            .map(|&Token { epoch, tag }| (Token { epoch, tag }, Disposition::Retry(delay)));
        let dispositions = copies.collect();
        self.inner().await?.settle(dispositions).await?;
        self.revoked.clear();
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Subscription for ChaosSubscription {
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError> {
        if self.stopped {
            return Ok(Vec::new());
        }
        sleep(self.rng.delay()).await;
        self.maybe_crash();
        while self.ready.is_empty() {
            self.return_revoked().await?;
            let batch = self.inner().await?.recv(max, linger).await?;
            self.sort_batch(batch);
        }
        self.return_revoked().await?;
        Ok(std::mem::take(&mut self.ready))
    }

    async fn settle(
        &mut self,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError> {
        sleep(self.rng.delay()).await;
        self.maybe_crash();
        let asked = dispositions.len();
        let mut own = Vec::new();
        for (token, disposition) in dispositions {
            if token.epoch == self.epoch
                && let Some(inner) = self.handed_out.remove(&token.tag)
            {
                own.push((inner, disposition));
            }
        }
        let settled = if own.is_empty() {
            Settled::default()
        } else {
            self.inner().await?.settle(own).await?
        };
        Ok(Settled {
            ok: settled.ok,
            stale: asked - settled.ok,
        })
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.return_revoked().await?;
        self.stopped = true;
        let unseen = std::mem::take(&mut self.ready).into_iter();
        let released = unseen.map(|delivery| (delivery.token, Disposition::Release));
        self.settle(released.collect()).await?;
        self.inner().await?.stop().await
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        match self.inner {
            Some(inner) => inner.close().await,
            None => Ok(()),
        }
    }
}
