//! Ids: a truth and a prediction with the same id belong together.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::clock::Clock;

/// Longest id in bytes: a UUID has 36, a float timestamp 17, a trace id 64.
pub const ID_BYTES_MAX: usize = 128;

/// The id that joins a truth with its prediction.
///
/// Two ids are equal when their texts are, whether they were written as a string or as a number.
#[derive(Clone)]
pub struct RecordId(pub(super) Repr);

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Repr {
    /// A UUID in its canonical text form; 16 bytes instead of 36.
    Uuid([u8; 16]),
    Text(Box<str>),
    /// A JSON number, as its text.
    Number(Box<str>),
}

impl RecordId {
    /// An id written as a string.
    ///
    /// # Errors
    /// When it is empty, longer than [`ID_BYTES_MAX`] bytes, or has control characters.
    pub fn from_text(text: &str) -> Result<Self, IdError> {
        check_id(text)?;
        Ok(Self(
            canonical_uuid(text).map_or_else(|| Repr::Text(text.into()), Repr::Uuid),
        ))
    }

    /// An id written as a JSON number, kept as its text.
    ///
    /// # Errors
    /// As [`RecordId::from_text`], and when the text is no JSON number.
    pub fn from_number(text: &str) -> Result<Self, IdError> {
        check_id(text)?;
        serde_json::from_str::<serde_json::Number>(text).map_err(|_| IdError::NotANumber)?;
        Ok(Self(Repr::Number(text.into())))
    }

    /// The tag of the [`IdSource`] that may have minted this id; foreign ids have none or a meaningless one.
    #[must_use]
    pub fn run_tag(&self) -> Option<RunTag> {
        match &self.0 {
            Repr::Uuid(bytes) => Some(RunTag(u32::from_be_bytes([
                bytes[12], bytes[13], bytes[14], bytes[15],
            ]))),
            Repr::Text(_) | Repr::Number(_) => None,
        }
    }

    /// When an [`IdSource`] minted it, in microseconds since the Unix epoch (a quarter of one exact); foreign UUIDs of
    /// version 7 have at least the millisecond, other ids nothing.
    #[must_use]
    pub fn minted_us(&self) -> Option<u64> {
        let uuid = Uuid::from_bytes(*self.uuid_bytes()?);
        if uuid.get_version_num() != 7 {
            return None;
        }
        let (high, _) = uuid.as_u64_pair();
        Some((high >> 16) * 1_000 + ((high & (FRACTIONS - 1)) * 1_000).div_ceil(FRACTIONS))
    }

    /// Checks what came over the wire and brings it into the one form that equality relies on.
    pub(super) fn checked(repr: Repr) -> Result<Self, IdError> {
        match repr {
            Repr::Uuid(_) => Ok(Self(repr)),
            Repr::Text(text) => Self::from_text(&text),
            Repr::Number(text) => Self::from_number(&text),
        }
    }

    pub(super) fn to_json(&self) -> Box<RawValue> {
        let text = match &self.0 {
            Repr::Number(text) => text.to_string(),
            Repr::Uuid(_) | Repr::Text(_) => {
                serde_json::Value::String(self.to_string()).to_string()
            }
        };
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// The bytes of an id that is a UUID in canonical text form.
    #[must_use]
    pub fn uuid_bytes(&self) -> Option<&[u8; 16]> {
        match &self.0 {
            Repr::Uuid(bytes) => Some(bytes),
            Repr::Text(_) | Repr::Number(_) => None,
        }
    }

    /// Calls `f` with the text without allocating.
    pub fn with_text<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Repr::Uuid(bytes) => f(Uuid::from_bytes(*bytes)
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer())),
            Repr::Text(text) | Repr::Number(text) => f(text),
        }
    }
}

/// Only the lower-case hyphenated form: any other spelling must keep its text.
fn canonical_uuid(text: &str) -> Option<[u8; 16]> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == text).then(|| uuid.into_bytes())
}

fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong { size: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::ControlCharacter);
    }
    Ok(())
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text)
    }
}

impl From<Uuid> for RecordId {
    fn from(uuid: Uuid) -> Self {
        Self(Repr::Uuid(uuid.into_bytes()))
    }
}

impl PartialEq for RecordId {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Uuid(a), Repr::Uuid(b)) => a == b,
            // Every canonical UUID text is held as `Uuid`, so a text never spells the same id.
            (Repr::Uuid(_), _) | (_, Repr::Uuid(_)) => false,
            (Repr::Text(a) | Repr::Number(a), Repr::Text(b) | Repr::Number(b)) => a == b,
        }
    }
}

impl Eq for RecordId {}

impl Hash for RecordId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::Uuid(bytes) => state.write_u128(u128::from_ne_bytes(*bytes)),
            Repr::Text(text) | Repr::Number(text) => text.hash(state),
        }
    }
}

impl PartialOrd for RecordId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RecordId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.with_text(|a| other.with_text(|b| a.cmp(b)))
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing to join by.
    #[error("id is empty")]
    Empty,
    /// Longer than [`ID_BYTES_MAX`].
    #[error("id has {size} bytes, at most {ID_BYTES_MAX} are allowed")]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// Would break the log's lines.
    #[error("id has a control character")]
    ControlCharacter,
    /// Neither a string nor a number.
    #[error("id is neither a string nor a number")]
    NotANumber,
}

/// Marks the ids of one run of one source, so that a run can recognise its own rows among leftovers of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunTag(pub u32);

/// Mints `UUIDv7` ids: 48 bits of milliseconds, 12 bits of their fraction, a 30 bit counter, and the run's tag in the
/// last 32 bits (RFC 9562 allows the fraction there, and a node's mark here). Unique within a run by the counter,
/// across runs by time and tag; in the order of their minting.
#[derive(Debug)]
pub struct IdSource {
    tag: RunTag,
    clock: Clock,
    counter: u64,
}

/// Steps of the 12 bit fraction in a millisecond.
const FRACTIONS: u64 = 1 << 12;

impl IdSource {
    /// The tag is random and comes from outside; the ids of two runs with the same tag differ only by their time.
    #[must_use]
    pub fn new(tag: RunTag, clock: Clock) -> Self {
        Self {
            tag,
            clock,
            counter: 0,
        }
    }

    /// The next id.
    pub fn mint(&mut self) -> RecordId {
        self.counter = self.counter.wrapping_add(1);
        let now_us = self.clock.now_us();
        let fraction = now_us % 1_000 * FRACTIONS / 1_000;
        let high = ((now_us / 1_000) << 16) | 0x7000 | fraction;
        let low = (0b10 << 62) | ((self.counter & 0x3fff_ffff) << 32) | u64::from(self.tag.0);
        RecordId::from(Uuid::from_u64_pair(high, low))
    }
}
