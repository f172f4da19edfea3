//! Halves that are only in memory, and the deliveries that must not be acknowledged because of them.
//!
//! Promise: a delivery is settled only when none of its halves is here any more. A half leaves when its partner comes, or
//! else into the store, oldest first; so of the halves that still wait, exactly those up to
//! [`UnstoredHalves::stored_through`] are in the store.

use std::collections::VecDeque;

use super::{pending::Key, store::StoredHalf};
use crate::message::RecordId;

#[derive(Debug)]
struct UnstoredHalf {
    key: Key,
    /// None once it has left; its entry stays until those before it have gone.
    id: Option<RecordId>,
    value: f64,
    delivery: u64,
}

/// In place of a count: the delivery is settled already.
const SETTLED: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct UnstoredHalves {
    halves: VecDeque<UnstoredHalf>,
    /// Halves of each delivery that are still here, by number from `first`.
    deliveries: VecDeque<u32>,
    first: u64,
    /// Deliveries with halves here.
    open: usize,
    /// Halves that are here.
    len: u64,
    stored_through: Key,
}

impl UnstoredHalves {
    /// None yet; everything up to this key is in the store.
    pub(super) fn restored(stored_through: Key) -> Self {
        Self {
            stored_through,
            ..Self::default()
        }
    }

    /// Begins the next delivery; numbers increase, gaps are allowed.
    pub(super) fn begin(&mut self, delivery: u64) {
        if self.deliveries.is_empty() {
            self.first = delivery;
        }
        while self.first + (self.deliveries.len() as u64) < delivery {
            self.deliveries.push_back(SETTLED);
        }
        self.deliveries.push_back(0);
    }

    pub(super) fn push(&mut self, key: Key, id: RecordId, value: f64, delivery: u64) {
        self.len += 1;
        self.halves.push_back(UnstoredHalf {
            key,
            id: Some(id),
            value,
            delivery,
        });
        if let Some(count) = self.count(delivery) {
            *count += 1;
            self.open += usize::from(*count == 1);
        }
    }

    /// How many halves are only here.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn stored_through(&self) -> Key {
        self.stored_through
    }

    /// When the oldest half came.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.halves.front().map(|half| half.key.received_ms())
    }

    /// Takes a half out; none if it is in the store.
    pub(super) fn take(&mut self, key: Key) -> Option<RecordId> {
        let at = self.place(key)?;
        let id = self.halves[at].id.take()?;
        self.release(self.halves[at].delivery);
        self.drop_gone();
        Some(id)
    }

    /// Changes a value; false if the half is in the store.
    pub(super) fn set_value(&mut self, key: Key, value: f64) -> bool {
        let place = self.place(key);
        if let Some(at) = place {
            self.halves[at].value = value;
        }
        place.is_some()
    }

    /// Takes out the halves that must go to the store: those up to `key`, those that came before `before_ms`, and as many
    /// as it takes to have no more than `open_max` open deliveries.
    pub(super) fn take_due(
        &mut self,
        key: Key,
        before_ms: u64,
        open_max: usize,
    ) -> Vec<StoredHalf> {
        let mut due = Vec::new();
        while let Some(half) = self.halves.front() {
            let is_due =
                half.key <= key || half.key.received_ms() < before_ms || self.open > open_max;
            if !is_due {
                break;
            }
            let Some(half) = self.halves.pop_front() else {
                break;
            };
            self.stored_through = half.key;
            if let Some(id) = half.id {
                self.release(half.delivery);
                due.push(StoredHalf {
                    key: half.key,
                    id,
                    value: half.value,
                });
            }
        }
        self.drop_gone();
        due
    }

    /// Deliveries that became settled since the last call.
    pub(super) fn settled(&mut self) -> Vec<u64> {
        let mut settled = Vec::new();
        for (number, count) in (self.first..).zip(&mut self.deliveries) {
            if *count == 0 {
                *count = SETTLED;
                settled.push(number);
            }
        }
        while self.deliveries.front() == Some(&SETTLED) {
            self.deliveries.pop_front();
            self.first += 1;
        }
        settled
    }

    /// Where the half of that key is. Partners mostly come in the same order as the halves, so this is a galloping search:
    /// from the front in steps that double, then by bisection between the last two steps.
    fn place(&self, key: Key) -> Option<usize> {
        let is_before = |at: usize| self.halves.get(at).is_some_and(|half| half.key < key);
        let mut end = 1;
        while is_before(end - 1) {
            end *= 2;
        }
        let mut begin = end / 2;
        end = end.min(self.halves.len());
        while begin < end {
            let middle = usize::midpoint(begin, end);
            if is_before(middle) {
                begin = middle + 1;
            } else {
                end = middle;
            }
        }
        (self.halves.get(begin)?.key == key).then_some(begin)
    }

    fn count(&mut self, delivery: u64) -> Option<&mut u32> {
        let at = usize::try_from(delivery.checked_sub(self.first)?).ok()?;
        self.deliveries.get_mut(at)
    }

    fn release(&mut self, delivery: u64) {
        self.len -= 1;
        if let Some(count) = self.count(delivery) {
            *count -= 1;
            let is_free = *count == 0;
            self.open -= usize::from(is_free);
        }
    }

    fn drop_gone(&mut self) {
        while self.halves.front().is_some_and(|half| half.id.is_none()) {
            self.halves.pop_front();
        }
    }
}
