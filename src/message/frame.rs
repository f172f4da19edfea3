//! Frames: records packed into bytes and taken out again, in postcard or JSON.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Body, BodyError, FrameError, IdError, Probabilities, Record, RecordError,
    id::{RecordId, Repr},
};

/// Media type of a postcard frame. The version is raised with any change of the layout.
pub const POSTCARD: &str = "application/x-postcard; v=1";
/// Media type of a postcard frame whose records bring probabilities: a frame without any, which is every frame of a
/// regression, has not a byte for them.
pub const POSTCARD_PROBABILITIES: &str = "application/x-postcard; v=1; with=probabilities";
/// Media type of a JSON frame; also assumed where a sender gives none.
pub const JSON: &str = "application/json";

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

/// A record with a UUID and one number: a frame cannot make us reserve more than a few times its own size.
const RECORD_BYTES: usize = 25;

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
    /// Why.
    pub reason: RecordError,
    /// The record alone, as a frame of its own, for the dead letters.
    pub frame: Frame,
}

#[derive(Deserialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<&'a [f64]>,
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
    #[serde(borrow)]
    probabilities: Option<&'a RawValue>,
}

/// A record with its probabilities; an empty list where it has none.
#[derive(Deserialize)]
struct WireWithProbabilities<B> {
    id: Repr,
    body: B,
    probabilities: Vec<f64>,
}

#[derive(Serialize)]
struct WireWithProbabilitiesRef<'a, B> {
    id: &'a Repr,
    body: &'a B,
    probabilities: &'a [f64],
}

/// Packs records into one frame.
#[must_use]
pub fn encode<B: Body>(records: &[Record<B>], encoding: Encoding) -> Frame {
    let has_probabilities = || {
        let mut bodies = records.iter().map(|record| &record.body);
        bodies.any(|body| body.probabilities().is_some())
    };
    match encoding {
        Encoding::Postcard if B::ALLOWS_PROBABILITIES && has_probabilities() => {
            encode_with_probabilities(records)
        }
        Encoding::Postcard => encode_postcard(records),
        Encoding::Json => encode_json(records),
    }
}

fn encode_with_probabilities<B: Body>(records: &[Record<B>]) -> Frame {
    let probabilities = |record: &'_ Record<B>| -> usize {
        record
            .body
            .probabilities()
            .map_or(0, |some| some.as_slice().len())
    };
    let classes = records.iter().map(probabilities).max().unwrap_or(0);
    let buffer = Vec::with_capacity(8 + records.len() * (30 + 8 * classes));
    // As in a plain frame.
    let mut body = postcard::to_extend(&records.len(), buffer).unwrap_or_default();
    for record in records {
        let probabilities = record.body.probabilities();
        let wire = WireWithProbabilitiesRef {
            id: &record.id.0,
            body: &record.body,
            probabilities: probabilities.map_or(&[], Probabilities::as_slice),
        };
        body = postcard::to_extend(&wire, body).unwrap_or_default();
    }
    Frame {
        content_type: POSTCARD_PROBABILITIES,
        body: body.into(),
    }
}

fn encode_postcard<B: Body>(records: &[Record<B>]) -> Frame {
    let values = records
        .first()
        .map_or(0, |record| record.body.values().len());
    let buffer = Vec::with_capacity(8 + records.len() * (20 + 8 * values));
    // A sequence is its length and then its elements. Writing plain data into a growing buffer has no way to fail.
    let mut body = postcard::to_extend(&records.len(), buffer).unwrap_or_default();
    for record in records {
        let wire = WireRecordRef {
            id: &record.id.0,
            body: &record.body,
        };
        body = postcard::to_extend(&wire, body).unwrap_or_default();
    }
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
        probabilities: record.body.probabilities().map(Probabilities::as_slice),
    }
}

/// Takes a frame apart. An empty content type is read as JSON, as the original's clients send none.
///
/// # Errors
/// When the frame cannot be split into records; a single bad record is in [`Decoded::malformed`] instead.
pub fn decode<B: Body>(content_type: &str, body: &[u8]) -> Result<Decoded<B>, FrameError> {
    let decoded = match media_type(content_type) {
        Some(Encoding::Postcard) => decode_postcard(body, POSTCARD, parse_record),
        Some(Encoding::Json) => decode_json(body),
        None if B::ALLOWS_PROBABILITIES && content_type == POSTCARD_PROBABILITIES => {
            decode_postcard(body, POSTCARD_PROBABILITIES, parse_with_probabilities)
        }
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

/// What the bytes of a postcard frame begin with, and the bytes after it.
type Parsed<'a, B> = Result<((Repr, B), &'a [u8]), postcard::Error>;

fn parse_record<B: Body>(bytes: &[u8]) -> Parsed<'_, B> {
    let (WireRecord { id, body }, after) = postcard::take_from_bytes(bytes)?;
    Ok(((id, body), after))
}

fn parse_with_probabilities<B: Body>(bytes: &[u8]) -> Parsed<'_, B> {
    let (wire, after) = postcard::take_from_bytes(bytes)?;
    let WireWithProbabilities {
        id,
        body,
        probabilities,
    } = wire;
    let body: B = body;
    if probabilities.is_empty() {
        return Ok(((id, body), after));
    }
    let body = body.with_probabilities(Probabilities::unchecked(probabilities));
    Ok(((id, body), after))
}

#[inline]
fn decode_postcard<'a, B: Body>(
    body: &'a [u8],
    content_type: &'static str,
    take: impl Fn(&'a [u8]) -> Parsed<'a, B>,
) -> Result<Decoded<B>, FrameError> {
    let (claimed, mut rest): (usize, _) =
        postcard::take_from_bytes(body).map_err(FrameError::Postcard)?;
    let mut decoded = Decoded {
        records: Vec::with_capacity(claimed.min(rest.len() / RECORD_BYTES)),
        malformed: Vec::new(),
    };
    for index in 0..claimed {
        let ((id, body), after) = take(rest).map_err(FrameError::Postcard)?;
        let (own, _) = rest.split_at(rest.len() - after.len());
        rest = after;
        match checked_record(id, body) {
            Ok(record) => decoded.records.push(record),
            Err((id, reason)) => decoded.malformed.push(Malformed {
                index,
                id,
                reason,
                frame: frame_of_one(own, content_type),
            }),
        }
    }
    if !rest.is_empty() {
        return Err(FrameError::Trailing { size: rest.len() });
    }
    Ok(decoded)
}

/// A frame of one record, from the record's bytes.
fn frame_of_one(record: &[u8], content_type: &'static str) -> Frame {
    let mut body = Vec::with_capacity(1 + record.len());
    body.push(1);
    body.extend_from_slice(record);
    Frame {
        content_type,
        body: body.into(),
    }
}

/// Why a record is refused, with its id where that could be read.
type Refused = (Option<RecordId>, RecordError);

fn checked_record<B: Body>(id: Repr, body: B) -> Result<Record<B>, Refused> {
    let id = RecordId::checked(id).map_err(|error| (None, error.into()))?;
    let checked = check_values::<B>(body.values())
        .map_err(RecordError::from)
        .and_then(|()| Ok(body.probabilities().map_or(Ok(()), Probabilities::check)?));
    match checked {
        Ok(()) => Ok(Record { id, body }),
        Err(reason) => Err((Some(id), reason)),
    }
}

fn check_values<B: Body>(values: &[f64]) -> Result<(), BodyError> {
    if values.is_empty() {
        return Err(BodyError::NoFeatures);
    }
    let is_good = |value: &f64| value.is_finite() || (B::ALLOWS_MISSING && value.is_nan());
    match values.iter().position(|value| !is_good(value)) {
        None => Ok(()),
        Some(index) => Err(BodyError::NotFinite {
            index,
            value: values[index],
        }),
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

fn json_to_record<B: Body>(raw: &RawValue) -> Result<Record<B>, Refused> {
    let record: JsonRecordIn<'_> =
        serde_json::from_str(raw.get()).map_err(|_| (None, RecordError::Shape))?;
    let id = record.id.ok_or((None, RecordError::NoId))?;
    let id = json_to_id(id.get()).map_err(|error| (None, error.into()))?;
    let with_id = |reason: RecordError| (Some(id.clone()), reason);
    let body = record.body.ok_or_else(|| with_id(RecordError::NoBody))?;
    let body = json_to_values::<B>(body.get())
        .and_then(B::from_values)
        .map_err(|error| with_id(error.into()))?;
    match record.probabilities.filter(|_| B::ALLOWS_PROBABILITIES) {
        None => Ok(Record { id, body }),
        Some(raw) => {
            let probabilities = json_to_probabilities(raw.get()).map_err(with_id)?;
            let body = body.with_probabilities(probabilities);
            Ok(Record { id, body })
        }
    }
}

fn json_to_id(json: &str) -> Result<RecordId, IdError> {
    if json.starts_with('"') {
        let text: String = serde_json::from_str(json).map_err(|_| IdError::NotANumber)?;
        RecordId::from_text(&text)
    } else {
        RecordId::from_number(json)
    }
}

fn json_to_values<B: Body>(json: &str) -> Result<Vec<f64>, BodyError> {
    if !json.starts_with('[') {
        return serde_json::from_str(json)
            .map(|value| vec![value])
            .map_err(|_| BodyError::NotNumbers);
    }
    let finite = serde_json::from_str(json);
    if finite.is_err() && B::ALLOWS_MISSING {
        let some: Vec<Option<f64>> =
            serde_json::from_str(json).map_err(|_| BodyError::NotNumbersOrNull)?;
        return Ok(some
            .into_iter()
            .map(|value| value.unwrap_or(f64::NAN))
            .collect());
    }
    finite.map_err(|_| BodyError::NotNumbers)
}

fn json_to_probabilities(json: &str) -> Result<Probabilities, RecordError> {
    let values = serde_json::from_str(json).map_err(|_| RecordError::ProbabilitiesShape)?;
    Ok(Probabilities::new(values)?)
}
