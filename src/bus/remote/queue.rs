//! The place where deliveries wait for the consumer: filled by the intake, emptied by `recv`, cleared by an epoch.
//!
//! Nothing leaves it inside a future, so `recv` can be dropped at any point without losing a delivery.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::gauge::Part;
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
    /// Deliveries of this epoch in the consumer's hands.
    out: Part,
    stopped: bool,
    failure: Option<BusError>,
    failed: bool,
}

impl DeliveryQueue {
    pub(super) fn new(window: usize, out: Part) -> Self {
        let state = State {
            epoch: 0,
            waiting: VecDeque::new(),
            out,
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

    /// Begins a new epoch: what waits is void.
    pub(super) fn renew(&self, epoch: u64) {
        let mut state = self.lock();
        state.epoch = epoch;
        state.waiting.clear();
        state.out.set(0);
    }

    pub(super) fn put(&self, delivery: Delivery) {
        self.lock().waiting.push_back(delivery);
        self.changed.notify_one();
    }

    /// So many of this epoch's deliveries came back.
    pub(super) fn returned(&self, count: usize) {
        let mut state = self.lock();
        let left = state.out.get().saturating_sub(count);
        state.out.set(left);
        drop(state);
        self.changed.notify_one();
    }

    /// No more deliveries are handed out; what waited is given back.
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
            match self.first() {
                First::There => {}
                First::Ended(outcome) => return outcome,
                First::NotYet => {
                    self.changed.notified().await;
                    continue;
                }
            }
            let deadline = Instant::now() + linger;
            // A timer of no time still takes the rest of a millisecond.
            while !linger.is_zero() && !self.has_enough(max) {
                tokio::select! {
                    () = sleep_until(deadline) => break,
                    () = self.changed.notified() => {}
                }
            }
            let taken = self.take_now(max);
            // Nothing: the session ended meanwhile and took away what was there. Only a stop is told by an empty batch.
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    fn first(&self) -> First {
        let mut state = self.lock();
        if state.failed {
            First::Ended(Err(state.failure.take().unwrap_or(BusError::Closed)))
        } else if state.stopped {
            First::Ended(Ok(Vec::new()))
        } else if state.waiting.is_empty() || state.out.get() >= self.window {
            First::NotYet
        } else {
            First::There
        }
    }

    fn has_enough(&self, max: usize) -> bool {
        let state = self.lock();
        let room = self.window.saturating_sub(state.out.get());
        state.stopped || state.failed || state.waiting.len() >= max.min(room)
    }

    fn take_now(&self, max: usize) -> Vec<Delivery> {
        let mut state = self.lock();
        let room = self.window.saturating_sub(state.out.get());
        let count = state.waiting.len().min(max).min(room);
        let out = state.out.get() + count;
        state.out.set(out);
        state.waiting.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

enum First {
    There,
    NotYet,
    Ended(Result<Vec<Delivery>, BusError>),
}
