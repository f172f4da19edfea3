//! Halves that wait for their partner, in order of arrival.
//!
//! Promise: 40 bytes a half, and 5 to 10 for the index, however long the id; find, insert and remove take the same time
//! with a million halves as with ten. The halves form a linked list in order of arrival, in slots that are reused. The
//! id's text is not here: the arriving partner brings it, and for a half that expires the store has it. Deliberately
//! absent: time and policy.

use hashbrown::HashTable;

use super::fingerprint::Fingerprint;

/// Stands for no slot.
const NONE: u32 = u32::MAX;
/// Slots are allocated in chunks, so that growing never copies them.
const CHUNK_BITS: u32 = 14;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;

/// Which half it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The true answer, of topic `y_true`.
    Truth,
    /// The model's answer, of topic `y_pred`.
    Prediction,
}

impl Kind {
    /// As in `unmatched.csv`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truth => "truth",
            Self::Prediction => "prediction",
        }
    }
}

/// Identifies a pending half and orders halves by arrival. From the top: milliseconds since the epoch (42 bits, enough
/// until 2109), a counter within the millisecond (21 bits; it may overflow into the next millisecond), and the kind in
/// the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Key(pub(super) u64);

impl Key {
    const MS_SHIFT: u32 = 22;

    pub(super) fn new(after: Key, now_ms: u64, kind: Kind) -> Self {
        let at = (after.0 | 1)
            .saturating_add(1)
            .max(now_ms << Self::MS_SHIFT);
        Self(at | u64::from(kind == Kind::Prediction))
    }

    pub(super) fn received_ms(self) -> u64 {
        self.0 >> Self::MS_SHIFT
    }

    pub(super) fn kind(self) -> Kind {
        if self.0 & 1 == 0 {
            Kind::Truth
        } else {
            Kind::Prediction
        }
    }
}

/// A waiting half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) fingerprint: Fingerprint,
    pub(super) value: f64,
    pub(super) key: Key,
}

#[derive(Debug)]
struct Slot {
    half: Waiting,
    previous: u32,
    next: u32,
}

/// The slot of a half; valid until the next removal.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotIndex(u32);

/// The waiting halves.
#[derive(Debug)]
pub(super) struct Pending {
    chunks: Vec<Vec<Slot>>,
    index: HashTable<u32>,
    oldest: u32,
    newest: u32,
    free: u32,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            index: HashTable::new(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn oldest(&self) -> Option<&Waiting> {
        (self.oldest != NONE).then(|| &self.slot(self.oldest).half)
    }

    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<(SlotIndex, &Waiting)> {
        let at = *self.index.find(fingerprint.spread(), |at| {
            self.slot(*at).half.fingerprint == fingerprint
        })?;
        Some((SlotIndex(at), &self.slot(at).half))
    }

    /// Appends a half whose id is not there yet.
    pub(super) fn push(&mut self, half: Waiting) {
        let slot = Slot {
            half,
            previous: self.newest,
            next: NONE,
        };
        let at = self.insert_slot(slot);
        if self.newest == NONE {
            self.oldest = at;
        } else {
            self.slot_mut(self.newest).next = at;
        }
        self.newest = at;
        let chunks = &self.chunks;
        self.index
            .insert_unique(half.fingerprint.spread(), at, |other| {
                slot_in(chunks, *other).half.fingerprint.spread()
            });
    }

    pub(super) fn remove(&mut self, SlotIndex(at): SlotIndex) -> Waiting {
        let Slot {
            half,
            previous,
            next,
        } = *self.slot(at);
        if previous == NONE {
            self.oldest = next;
        } else {
            self.slot_mut(previous).next = next;
        }
        if next == NONE {
            self.newest = previous;
        } else {
            self.slot_mut(next).previous = previous;
        }
        let entry = self
            .index
            .find_entry(half.fingerprint.spread(), |other| *other == at);
        if let Ok(entry) = entry {
            entry.remove();
        }
        self.slot_mut(at).next = self.free;
        self.free = at;
        half
    }

    pub(super) fn pop_oldest(&mut self) -> Option<Waiting> {
        (self.oldest != NONE).then(|| self.remove(SlotIndex(self.oldest)))
    }

    pub(super) fn set_value(&mut self, SlotIndex(at): SlotIndex, value: f64) {
        self.slot_mut(at).half.value = value;
    }

    fn insert_slot(&mut self, slot: Slot) -> u32 {
        if self.free != NONE {
            let at = self.free;
            self.free = self.slot(at).next;
            *self.slot_mut(at) = slot;
            return at;
        }
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == CHUNK_SLOTS)
        {
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
        }
        let full = self.chunks.len() - 1;
        let chunk = &mut self.chunks[full];
        chunk.push(slot);
        let at = (full << CHUNK_BITS) + chunk.len() - 1;
        // `pending_max` is a u32, so the number of slots is one too.
        u32::try_from(at).unwrap_or(NONE)
    }

    fn slot(&self, at: u32) -> &Slot {
        slot_in(&self.chunks, at)
    }

    fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.chunks[(at >> CHUNK_BITS) as usize][at as usize & (CHUNK_SLOTS - 1)]
    }
}

fn slot_in(chunks: &[Vec<Slot>], at: u32) -> &Slot {
    &chunks[(at >> CHUNK_BITS) as usize][at as usize & (CHUNK_SLOTS - 1)]
}
