//! Ids that are finished, remembered to recognise halves that come again.
//!
//! Bounded by count (`seen_max`) and age (`seen_age_max_ms`). Beyond these bounds a half that is delivered again looks
//! new, waits, and expires; it makes a second row only if both halves are delivered again beyond the bounds. Each id takes
//! 32 bytes, and 5 to 10 for the index. Values are kept exactly, so a conflict is never mistaken for a duplicate.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashTable};

use super::{fingerprint::Fingerprint, pending::Kind};

/// What is known of a finished id. `NaN` stands for a half that never came.
#[derive(Clone, Copy, Debug)]
struct Entry {
    fingerprint: Fingerprint,
    y_true: f64,
    y_pred: f64,
}

/// How a half compares to what is known of its id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    /// This value was there before.
    Same,
    /// Another value was there before; the partner's value is given where it is known.
    Different { partner: Option<f64> },
    /// Only the partner's value is known: it expired or was evicted.
    Missing,
}

#[derive(Debug)]
pub(super) struct SeenIds {
    max: usize,
    age_max_ms: u64,
    entries: VecDeque<Entry>,
    /// Number of the first entry; the index holds the low bits of numbers.
    first: u64,
    index: HashTable<u32>,
    /// Time, and the number of the first entry that came after it.
    marks: VecDeque<(u64, u64)>,
    /// Truths that a correction replaced, for the few ids that have any.
    replaced: HashMap<Fingerprint, Vec<f64>>,
}

/// Entries for which memory is reserved at once.
const RESERVED_MAX: usize = 1 << 20;

/// One mark covers at least this much time, which bounds their number.
const MARK_MS: u64 = 1_000;

impl SeenIds {
    pub(super) fn new(max: usize, age_max_ms: u64) -> Self {
        Self {
            max: max.clamp(1, 1 << 30),
            age_max_ms,
            // Reserved at once: growing step by step would need twice the memory while it copies, and pages that were never
            // written take none.
            entries: VecDeque::with_capacity(max.clamp(1, RESERVED_MAX)),
            first: 0,
            index: HashTable::new(),
            marks: VecDeque::new(),
            replaced: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Remembers an id that is not known yet.
    pub(super) fn push(
        &mut self,
        fingerprint: Fingerprint,
        y_true: Option<f64>,
        y_pred: Option<f64>,
        now_ms: u64,
    ) {
        if self.entries.len() >= self.max {
            self.forget_oldest();
        }
        let number = self.first + self.entries.len() as u64;
        if self
            .marks
            .back()
            .is_none_or(|(at, _)| now_ms >= at + MARK_MS)
        {
            self.marks.push_back((now_ms, number));
        }
        self.entries.push_back(Entry {
            fingerprint,
            y_true: y_true.unwrap_or(f64::NAN),
            y_pred: y_pred.unwrap_or(f64::NAN),
        });
        let (first, entries) = (self.first, &self.entries);
        self.index
            .insert_unique(fingerprint.spread(), low(number), |other| {
                entries[place(first, *other)].fingerprint.spread()
            });
    }

    /// Compares a half to what is known; none when the id is unknown.
    pub(super) fn compare(
        &self,
        fingerprint: Fingerprint,
        kind: Kind,
        value: f64,
    ) -> Option<Comparison> {
        let entry = &self.entries[self.find(fingerprint)?];
        let (own, partner) = match kind {
            Kind::Truth => (entry.y_true, entry.y_pred),
            Kind::Prediction => (entry.y_pred, entry.y_true),
        };
        let was_replaced = kind == Kind::Truth
            && self
                .replaced
                .get(&fingerprint)
                .is_some_and(|values| values.iter().any(|known| same(*known, value)));
        Some(if own.is_nan() {
            Comparison::Missing
        } else if same(own, value) || was_replaced {
            Comparison::Same
        } else {
            Comparison::Different {
                partner: (!partner.is_nan()).then_some(partner),
            }
        })
    }

    /// Adds the value of a half that came too late.
    pub(super) fn complete(&mut self, fingerprint: Fingerprint, kind: Kind, value: f64) {
        if let Some(at) = self.find(fingerprint) {
            match kind {
                Kind::Truth => self.entries[at].y_true = value,
                Kind::Prediction => self.entries[at].y_pred = value,
            }
        }
    }

    /// Puts a corrected truth in place; the old one stays known.
    pub(super) fn correct(&mut self, fingerprint: Fingerprint, y_true: f64) {
        if let Some(at) = self.find(fingerprint) {
            let old = std::mem::replace(&mut self.entries[at].y_true, y_true);
            let values = self.replaced.entry(fingerprint).or_default();
            // The number is bounded; an id whose label changes more often only gets repeated corrections.
            if values.len() < 16 {
                values.push(old);
            }
        }
    }

    /// Forgets what is too old.
    pub(super) fn forget(&mut self, now_ms: u64) {
        // All entries before the second mark came before its time.
        while let Some((until_ms, end)) = self.marks.get(1).copied() {
            if until_ms.saturating_add(self.age_max_ms) > now_ms {
                break;
            }
            while self.first < end {
                self.forget_oldest();
            }
            self.drop_passed_marks();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            let number = low(self.first);
            let found = self
                .index
                .find_entry(entry.fingerprint.spread(), |other| *other == number);
            if let Ok(found) = found {
                found.remove();
            }
            self.replaced.remove(&entry.fingerprint);
        }
        self.first += 1;
        self.drop_passed_marks();
    }

    fn drop_passed_marks(&mut self) {
        while self.marks.get(1).is_some_and(|(_, end)| *end <= self.first) {
            self.marks.pop_front();
        }
    }

    fn find(&self, fingerprint: Fingerprint) -> Option<usize> {
        self.index
            .find(fingerprint.spread(), |number| {
                self.entries[place(self.first, *number)].fingerprint == fingerprint
            })
            .map(|number| place(self.first, *number))
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fewer than 2^30 entries live at once, so the low bits tell them apart"
)]
fn low(number: u64) -> u32 {
    number as u32
}

fn place(first: u64, number: u32) -> usize {
    number.wrapping_sub(low(first)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::RecordId, services::metric::fingerprint::Fingerprints};

    fn remembered(max: usize) -> (SeenIds, impl Fn(u32) -> Fingerprint) {
        let fingerprints = Fingerprints::default();
        let of = move |n: u32| fingerprints.of(&RecordId::from_text(&format!("id-{n}")).unwrap());
        (SeenIds::new(max, 10_000), of)
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let (mut ids, of) = remembered(3);
        for n in 0..5 {
            ids.push(of(n), Some(f64::from(n)), Some(0.0), 0);
        }
        let known: Vec<bool> = (0..5)
            .map(|n| ids.compare(of(n), Kind::Truth, f64::from(n)).is_some())
            .collect();
        assert_eq!(known, [false, false, true, true, true]);
    }

    #[test]
    fn what_is_older_than_the_bound_is_forgotten_and_nothing_younger() {
        let (mut ids, of) = remembered(100);
        for n in 0..20 {
            ids.push(of(n), Some(1.0), Some(1.0), u64::from(n) * 1_000);
        }
        ids.forget(20_000);
        let kept = (0..20).filter(|n| ids.compare(of(*n), Kind::Truth, 1.0).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_replaced_truth_that_comes_again_is_no_new_correction() {
        let (mut ids, of) = remembered(3);
        ids.push(of(1), Some(1.0), Some(5.0), 0);
        assert_eq!(
            ids.compare(of(1), Kind::Truth, 2.0),
            Some(Comparison::Different { partner: Some(5.0) })
        );
        ids.correct(of(1), 2.0);
        assert_eq!(ids.compare(of(1), Kind::Truth, 1.0), Some(Comparison::Same));
        assert_eq!(ids.compare(of(1), Kind::Truth, 2.0), Some(Comparison::Same));
    }
}
