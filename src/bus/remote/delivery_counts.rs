//! How many deliveries of each group this process has, over all its subscriptions: the part of a depth that no broker
//! reports.
//!
//! Each subscription owns its part of a count, and takes it away when it is dropped, however it ends.

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
pub(super) struct DeliveryCounts {
    /// Received from the broker and not settled.
    pub(super) unsettled: AtomicU64,
    /// Of those, handed out to a consumer.
    pub(super) handed_out: AtomicU64,
}

impl DeliveryCounts {
    /// Both counts. They are read one after the other, so the second is cut to the first.
    pub(super) fn read(&self) -> (u64, u64) {
        let unsettled = self.unsettled.load(Ordering::Relaxed);
        (
            unsettled,
            self.handed_out.load(Ordering::Relaxed).min(unsettled),
        )
    }
}

/// One subscription's part of a count; gone with the subscription.
#[derive(Debug)]
pub(super) struct SubscriptionCount {
    whole: Arc<DeliveryCounts>,
    field: fn(&DeliveryCounts) -> &AtomicU64,
    value: usize,
}

impl SubscriptionCount {
    pub(super) fn unsettled(whole: Arc<DeliveryCounts>) -> Self {
        Self {
            whole,
            field: |counts| &counts.unsettled,
            value: 0,
        }
    }

    pub(super) fn handed_out(whole: Arc<DeliveryCounts>) -> Self {
        Self {
            whole,
            field: |counts| &counts.handed_out,
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

impl Drop for SubscriptionCount {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Every group that this process has subscribed to.
#[derive(Debug, Default)]
pub(super) struct DeliveryCountsByGroup(Mutex<HashMap<(String, String), Arc<DeliveryCounts>>>);

impl DeliveryCountsByGroup {
    pub(super) fn of(&self, topic: &str, group: &str) -> Arc<DeliveryCounts> {
        let mut groups = self.0.lock();
        Arc::clone(
            groups
                .entry((topic.to_owned(), group.to_owned()))
                .or_default(),
        )
    }
}
