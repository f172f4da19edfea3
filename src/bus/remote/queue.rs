//! Where deliveries wait for the consumer: the intake fills it, `recv` empties it, a new epoch clears it.
//!
//! Nothing leaves it inside a future, so `recv` can be dropped at any point without losing a delivery.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::delivery_counts::SubscriptionCount;
use crate::bus::{BusError, Delivery};

/// Shared by one intake and one subscription.
#[derive(Debug)]
pub(super) struct DeliveryQueue {
    window: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    waiting: VecDeque<Delivery>,
    /// Deliveries of this epoch that the consumer has.
    handed_out: SubscriptionCount,
    stopped: bool,
    failure: Option<BusError>,
    failed: bool,
}

impl DeliveryQueue {
    pub(super) fn new(window: usize, handed_out: SubscriptionCount) -> Self {
        let state = State {
            epoch: 0,
            waiting: VecDeque::new(),
            handed_out,
            stopped: false,
            failure: None,
            failed: false,
        };
        Self {
            window,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Begins a new epoch: what waits belongs to the old one and is dropped.
    pub(super) fn reset(&self, epoch: u64) {
        let mut state = self.lock();
        state.epoch = epoch;
        state.waiting.clear();
        state.handed_out.set(0);
    }

    pub(super) fn push(&self, delivery: Delivery) {
        self.lock().waiting.push_back(delivery);
        self.changed.notify_one();
    }

    /// The consumer settled so many of this epoch's deliveries.
    pub(super) fn settled(&self, count: usize) {
        let mut state = self.lock();
        let left = state.handed_out.get().saturating_sub(count);
        state.handed_out.set(left);
        drop(state);
        self.changed.notify_one();
    }

    /// Hands out no more deliveries; returns those that waited.
    pub(super) fn stop(&self) -> Vec<Delivery> {
        let mut state = self.lock();
        state.stopped = true;
        let waiting = state.waiting.drain(..).collect();
        drop(state);
        self.changed.notify_one();
        waiting
    }

    pub(super) fn fail(&self, error: BusError) {
        let mut state = self.lock();
        state.failed = true;
        state.failure = Some(error);
        state.waiting.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// See [`crate::bus::Consumer::recv`].
    pub(super) async fn take(
        &self,
        max: usize,
        linger: Duration,
    ) -> Result<Vec<Delivery>, BusError> {
        let max = max.max(1);
        loop {
            match self.readiness() {
                Readiness::Ready => {}
                Readiness::Ended(outcome) => return outcome,
                Readiness::Empty => {
                    self.changed.notified().await;
                    continue;
                }
            }
            let deadline = Instant::now() + linger;
            // tokio's timer has a resolution of a millisecond, so that even a wait of zero would take some time.
            while !linger.is_zero() && !self.has_enough(max) {
                tokio::select! {
                    () = sleep_until(deadline) => break,
                    () = self.changed.notified() => {}
                }
            }
            let taken = self.take_now(max);
            // Empty: the session ended meanwhile, and what was there went with it. An empty batch means a stop, so wait
            // on.
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    fn readiness(&self) -> Readiness {
        let mut state = self.lock();
        if state.failed {
            Readiness::Ended(Err(state.failure.take().unwrap_or(BusError::Closed)))
        } else if state.stopped {
            Readiness::Ended(Ok(Vec::new()))
        } else if state.waiting.is_empty() || state.handed_out.get() >= self.window {
            Readiness::Empty
        } else {
            Readiness::Ready
        }
    }

    fn has_enough(&self, max: usize) -> bool {
        let state = self.lock();
        let room = self.window.saturating_sub(state.handed_out.get());
        state.stopped || state.failed || state.waiting.len() >= max.min(room)
    }

    fn take_now(&self, max: usize) -> Vec<Delivery> {
        let mut state = self.lock();
        let room = self.window.saturating_sub(state.handed_out.get());
        let count = state.waiting.len().min(max).min(room);
        let handed_out = state.handed_out.get() + count;
        state.handed_out.set(handed_out);
        state.waiting.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

enum Readiness {
    Ready,
    Empty,
    Ended(Result<Vec<Delivery>, BusError>),
}
