//! What travels on the bus: records under an id, packed into frames, in postcard or JSON.
//!
//! A *frame* is the body of one bus message: 1..n records of one topic. Our own services write
//! [`Encoding::Postcard`]; everyone else may write [`Encoding::Json`], one object or an array of
//! `{"id": string|number, "body": number|[numbers]}`. Every consumer reads both.
//!
//! Promises: an id from outside is kept exactly as written (a number keeps its text, it never passes through a
//! float); one bad record of a frame is refused alone and with its reason; a length that a frame merely claims is
//! never allocated. Deliberately absent: Python pickles, compression, schemas beyond the two shapes.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::clock::Clock;

/// Media type of a postcard frame. The version is raised with any change of the layout.
pub const POSTCARD: &str = "application/x-postcard; v=1";
/// Media type of a JSON frame; also assumed where a sender gives none.
pub const JSON: &str = "application/json";
/// Longest id in bytes: a UUID has 36, a float timestamp 17, a trace id 64.
pub const ID_BYTES_MAX: usize = 128;

/// The id that joins a truth with its prediction.
///
/// Two ids are equal when their texts are, whether they were written as a string or as a number.
#[derive(Clone)]
pub struct RecordId(Repr);

#[derive(Clone, Serialize, Deserialize)]
enum Repr {
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
    /// version 7 tell at least the millisecond, other ids nothing.
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
    fn checked(repr: Repr) -> Result<Self, IdError> {
        match repr {
            Repr::Uuid(_) => Ok(Self(repr)),
            Repr::Text(text) => Self::from_text(&text),
            Repr::Number(text) => Self::from_number(&text),
        }
    }

    fn to_json(&self) -> Box<RawValue> {
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

/// Marks the ids of one run of one source, so that a run can tell its own rows from leftovers of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunTag(pub u32);

/// Mints `UUIDv7` ids: 48 bits of milliseconds, 12 bits of their fraction, a 30 bit counter, and the run's tag in the
/// last 32 bits (RFC 9562 allows the fraction there, and a node's mark here). Unique within a run by the counter, across
/// runs by time and tag; in the order of their minting.
#[derive(Debug)]
pub struct IdSource {
    tag: RunTag,
    clock: Clock,
    counter: u64,
}

/// Steps of the 12 bit fraction in a millisecond.
const FRACTIONS: u64 = 1 << 12;

impl IdSource {
    /// The tag is random and comes from outside; two runs with one tag are told apart by their clocks only.
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

/// One thing under one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<B> {
    /// Joins the topics.
    pub id: RecordId,
    /// What the topic is about.
    pub body: B,
}

/// The body of a record: says which topic it travels on and how it looks on the wire.
pub trait Body: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic that carries it.
    const TOPIC: &'static str;

    /// The values, for checking and for JSON.
    fn values(&self) -> &[f64];

    /// From the values of a JSON body; a lone number is a list of one.
    ///
    /// # Errors
    /// A reason in words.
    fn from_values(values: Vec<f64>) -> Result<Self, String>;

    /// Whether JSON writes a list even for one value.
    const IS_LIST: bool;
}

/// A feature vector, in the model's column order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features(pub Vec<f64>);

/// The true answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth(pub f64);

/// The model's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction(pub f64);

impl Body for Features {
    const TOPIC: &'static str = "features";
    const IS_LIST: bool = true;

    fn values(&self) -> &[f64] {
        &self.0
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        if values.is_empty() {
            Err("body has no features".to_owned())
        } else {
            Ok(Self(values))
        }
    }
}

fn single(values: &[f64]) -> Result<f64, String> {
    match values {
        [value] => Ok(*value),
        _ => Err(format!("body has {} values, expected one", values.len())),
    }
}

impl Body for Truth {
    const TOPIC: &'static str = "y_true";
    const IS_LIST: bool = false;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.0)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        single(&values).map(Self)
    }
}

impl Body for Prediction {
    const TOPIC: &'static str = "y_pred";
    const IS_LIST: bool = false;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.0)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        single(&values).map(Self)
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Compact and exact; what our own services read fastest.
    #[default]
    Postcard,
    /// The shape of the original and its copies; readable by any client.
    Json,
}

/// An encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Bytes,
}

/// What a frame held.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<B> {
    /// The good records, in order.
    pub records: Vec<Record<B>>,
    /// The bad ones, each with its reason.
    pub malformed: Vec<Malformed>,
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// Its place in the frame, from 0.
    pub index: usize,
    /// Its id, when at least that could be read.
    pub id: Option<RecordId>,
    /// Why, in words.
    pub reason: String,
    /// The record alone, as a frame of its own, for the dead letters.
    pub frame: Frame,
}

/// A frame that cannot be taken apart at all.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The media type is not one of ours.
    #[error("content type `{0}` is not understood; send `{JSON}` or `{POSTCARD}`")]
    ContentType(String),
    /// Not the JSON shape.
    #[error("frame is not JSON of the shape {{\"id\": …, \"body\": …}} or an array of it")]
    Json(#[source] serde_json::Error),
    /// Not postcard, or of another topic.
    #[error("frame is not postcard records of this topic")]
    Postcard(#[source] postcard::Error),
    /// Bytes after the last record: the frame is of another topic or damaged.
    #[error("frame has {size} bytes after its last record")]
    Trailing {
        /// How many.
        size: usize,
    },
    /// A frame without records has no meaning.
    #[error("frame has no records")]
    Empty,
}

#[derive(Serialize, Deserialize)]
struct WireRecord<B> {
    id: Repr,
    body: B,
}

#[derive(Serialize)]
struct WireRecordRef<'a, B> {
    id: &'a Repr,
    body: &'a B,
}

#[derive(Serialize)]
struct JsonRecordOut<'a> {
    id: Box<RawValue>,
    body: JsonBodyOut<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonBodyOut<'a> {
    One(f64),
    Many(&'a [f64]),
}

#[derive(Deserialize)]
struct JsonRecordIn<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// Packs records into one frame.
#[must_use]
pub fn encode<B: Body>(records: &[Record<B>], encoding: Encoding) -> Frame {
    match encoding {
        Encoding::Postcard => encode_postcard(records),
        Encoding::Json => encode_json(records),
    }
}

fn encode_postcard<B: Body>(records: &[Record<B>]) -> Frame {
    let values = records
        .first()
        .map_or(0, |record| record.body.values().len());
    let buffer = Vec::with_capacity(8 + records.len() * (20 + 8 * values));
    let wire: Vec<_> = records
        .iter()
        .map(|record| WireRecordRef {
            id: &record.id.0,
            body: &record.body,
        })
        .collect();
    // Writing plain data into a growing buffer has no way to fail.
    let body = postcard::to_extend(&wire, buffer).unwrap_or_default();
    Frame {
        content_type: POSTCARD,
        body: body.into(),
    }
}

fn encode_json<B: Body>(records: &[Record<B>]) -> Frame {
    let out: Vec<_> = records.iter().map(json_record).collect();
    let body = match out.as_slice() {
        [one] => serde_json::to_vec(one),
        many => serde_json::to_vec(many),
    };
    Frame {
        content_type: JSON,
        body: body.unwrap_or_default().into(),
    }
}

fn json_record<B: Body>(record: &Record<B>) -> JsonRecordOut<'_> {
    let body = match record.body.values() {
        [one] if !B::IS_LIST => JsonBodyOut::One(*one),
        many => JsonBodyOut::Many(many),
    };
    JsonRecordOut {
        id: record.id.to_json(),
        body,
    }
}

/// Takes a frame apart. An empty content type is read as JSON, as the original's clients send none.
///
/// # Errors
/// When not even the records can be told apart; a bad record alone is in [`Decoded::malformed`].
pub fn decode<B: Body>(content_type: &str, body: &[u8]) -> Result<Decoded<B>, FrameError> {
    let decoded = match media_type(content_type) {
        Some(Encoding::Postcard) => decode_postcard(body),
        Some(Encoding::Json) => decode_json(body),
        None => Err(FrameError::ContentType(
            content_type.chars().take(80).collect(),
        )),
    }?;
    if decoded.records.is_empty() && decoded.malformed.is_empty() {
        return Err(FrameError::Empty);
    }
    Ok(decoded)
}

fn media_type(content_type: &str) -> Option<Encoding> {
    if content_type == POSTCARD {
        return Some(Encoding::Postcard);
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = essence.is_empty()
        || essence.eq_ignore_ascii_case(JSON)
        || essence.eq_ignore_ascii_case("text/json");
    is_json.then_some(Encoding::Json)
}

fn decode_postcard<B: Body>(body: &[u8]) -> Result<Decoded<B>, FrameError> {
    let (wire, rest): (Vec<WireRecord<B>>, _) =
        postcard::take_from_bytes(body).map_err(FrameError::Postcard)?;
    if !rest.is_empty() {
        return Err(FrameError::Trailing { size: rest.len() });
    }
    let mut decoded = Decoded {
        records: Vec::with_capacity(wire.len()),
        malformed: Vec::new(),
    };
    for (index, WireRecord { id, body }) in wire.into_iter().enumerate() {
        match checked_record(id.clone(), body.clone()) {
            Ok(record) => decoded.records.push(record),
            Err((id_if_read, reason)) => {
                let frame = Frame {
                    content_type: POSTCARD,
                    body: postcard::to_stdvec(&vec![WireRecord { id, body }])
                        .unwrap_or_default()
                        .into(),
                };
                decoded.malformed.push(Malformed {
                    index,
                    id: id_if_read,
                    reason,
                    frame,
                });
            }
        }
    }
    Ok(decoded)
}

fn checked_record<B: Body>(id: Repr, body: B) -> Result<Record<B>, (Option<RecordId>, String)> {
    let id = RecordId::checked(id).map_err(|error| (None, error.to_string()))?;
    match check_values(body.values()) {
        Ok(()) => Ok(Record { id, body }),
        Err(reason) => Err((Some(id), reason)),
    }
}

fn check_values(values: &[f64]) -> Result<(), String> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(format!(
            "value {at} of the body is {}, expected a finite number",
            values[at]
        )),
    }
}

fn decode_json<B: Body>(body: &[u8]) -> Result<Decoded<B>, FrameError> {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let raw: Vec<&RawValue> = if is_array {
        serde_json::from_slice(body).map_err(FrameError::Json)?
    } else {
        vec![serde_json::from_slice(body).map_err(FrameError::Json)?]
    };
    let mut decoded = Decoded {
        records: Vec::with_capacity(raw.len()),
        malformed: Vec::new(),
    };
    for (index, raw) in raw.into_iter().enumerate() {
        match json_to_record(raw) {
            Ok(record) => decoded.records.push(record),
            Err((id, reason)) => {
                let frame = Frame {
                    content_type: JSON,
                    body: Bytes::copy_from_slice(raw.get().as_bytes()),
                };
                decoded.malformed.push(Malformed {
                    index,
                    id,
                    reason,
                    frame,
                });
            }
        }
    }
    Ok(decoded)
}

fn json_to_record<B: Body>(raw: &RawValue) -> Result<Record<B>, (Option<RecordId>, String)> {
    let shape = r#"record is not an object of the shape {"id": …, "body": …}"#;
    let record: JsonRecordIn<'_> =
        serde_json::from_str(raw.get()).map_err(|_| (None, shape.to_owned()))?;
    let id = record
        .id
        .ok_or_else(|| (None, "record has no `id`".to_owned()))?;
    let id = json_to_id(id.get()).map_err(|error| (None, error.to_string()))?;
    let with_id = |reason: String| (Some(id.clone()), reason);
    let body = record
        .body
        .ok_or_else(|| with_id("record has no `body`".to_owned()))?;
    let values = json_to_values(body.get()).map_err(with_id)?;
    let body = B::from_values(values).map_err(with_id)?;
    Ok(Record { id, body })
}

fn json_to_id(json: &str) -> Result<RecordId, IdError> {
    if json.starts_with('"') {
        let text: String = serde_json::from_str(json).map_err(|_| IdError::NotANumber)?;
        RecordId::from_text(&text)
    } else {
        RecordId::from_number(json)
    }
}

fn json_to_values(json: &str) -> Result<Vec<f64>, String> {
    let expected = |_| "body is neither a finite number nor a list of finite numbers".to_owned();
    if json.starts_with('[') {
        serde_json::from_str(json).map_err(expected)
    } else {
        serde_json::from_str(json)
            .map(|value| vec![value])
            .map_err(expected)
    }
}

#[cfg(test)]
mod tests;
