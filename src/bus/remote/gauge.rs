//! What this process holds of each group, over all its subscriptions: the part of a depth that no broker tells.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

/// Deliveries of one group.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Taken in and not settled.
    pub(super) held: AtomicU64,
    /// Of those, in a consumer's hands.
    pub(super) out: AtomicU64,
}

impl Gauge {
    /// Held, and of those in a consumer's hands.
    pub(super) fn read(&self) -> (u64, u64) {
        let held = self.held.load(Ordering::Relaxed);
        (held, self.out.load(Ordering::Relaxed).min(held))
    }
}

/// One subscription's part of a gauge; gone with the subscription.
#[derive(Debug)]
pub(super) struct Part {
    whole: Arc<Gauge>,
    field: fn(&Gauge) -> &AtomicU64,
    value: usize,
}

impl Part {
    pub(super) fn held(whole: Arc<Gauge>) -> Self {
        Self {
            whole,
            field: |gauge| &gauge.held,
            value: 0,
        }
    }

    pub(super) fn out(whole: Arc<Gauge>) -> Self {
        Self {
            whole,
            field: |gauge| &gauge.out,
            value: 0,
        }
    }

    pub(super) fn get(&self) -> usize {
        self.value
    }

    pub(super) fn set(&mut self, value: usize) {
        let field = (self.field)(&self.whole);
        let change = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        if value >= self.value {
            field.fetch_add(change(value - self.value), Ordering::Relaxed);
        } else {
            field.fetch_sub(change(self.value - value), Ordering::Relaxed);
        }
        self.value = value;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Every group that this process has subscribed to.
#[derive(Debug, Default)]
pub(super) struct Gauges(Mutex<HashMap<(String, String), Arc<Gauge>>>);

impl Gauges {
    pub(super) fn of(&self, topic: &str, group: &str) -> Arc<Gauge> {
        let mut gauges = self.0.lock();
        Arc::clone(
            gauges
                .entry((topic.to_owned(), group.to_owned()))
                .or_default(),
        )
    }
}
