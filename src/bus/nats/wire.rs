//! Messages as JetStream carries them.

use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, HeaderValue, header::NATS_MESSAGE_ID};
use bytes::Bytes;
use uuid::Uuid;

use crate::bus::{
    Message,
    ids::named_id,
    remote::{pack_headers, unpack_headers},
};

const CONTENT_TYPE: &str = "Content-Type";

/// Our headers as NATS headers, with the id that the broker drops duplicates by.
pub(super) fn to_headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, message.id.to_string());
    if let Ok(value) = HeaderValue::from_str(&message.content_type)
        && !message.content_type.is_empty()
    {
        headers.insert(CONTENT_TYPE, value);
    }
    for (name, value) in pack_headers(&message.headers) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(&name), HeaderValue::from_str(&value))
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// What was published, by us or by anybody.
pub(super) fn from_nats(message: async_nats::Message, ack_subject: &AckSubject<'_>) -> Message {
    let headers = message.headers.unwrap_or_default();
    let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let id = match text("Nats-Msg-Id") {
        Some(id) => Uuid::from_str(&id).unwrap_or_else(|_| named_id(&["nats-msg-id", &id])),
        // It came without an id: one is derived from its place in the stream, the same at every redelivery.
        None => named_id(&[
            "nats-ack_subject",
            ack_subject.stream,
            &ack_subject.sequence.to_string(),
        ]),
    };
    let content_type = text(CONTENT_TYPE).unwrap_or_default();
    let own = headers.iter().filter_map(|(name, values)| {
        let name = name.to_string();
        let foreign = name.starts_with("Nats-") || name.eq_ignore_ascii_case(CONTENT_TYPE);
        let value = values.last().filter(|_| !foreign)?;
        Some((name.to_lowercase(), value.as_str().to_owned()))
    });
    Message {
        id,
        content_type,
        headers: unpack_headers(own),
        // A copy: the payload is a slice of the client's read buffer, all of which stays as long as one slice of it.
        body: Bytes::copy_from_slice(&message.payload),
    }
}

/// What the subject that acknowledges a delivery says about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AckSubject<'a> {
    pub(super) stream: &'a str,
    pub(super) sequence: u64,
    pub(super) delivered: u32,
}

impl<'a> AckSubject<'a> {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>…`, since 2.10 with domain and account before the stream.
    pub(super) fn parse(reply: &'a str) -> Option<Self> {
        let parts = reply
            .strip_prefix("$JS.ACK.")?
            .split('.')
            .collect::<Vec<_>>();
        let from = match parts.len() {
            7 => 0,
            9.. => 2,
            _ => return None,
        };
        Some(Self {
            stream: parts[from],
            delivered: parts[from + 2].parse().ok()?,
            sequence: parts[from + 3].parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_ack_subjects_are_understood() {
        let old = AckSubject::parse("$JS.ACK.features.predictor.3.17.20.1700000000.5");
        let new = AckSubject::parse("$JS.ACK._.hash.features.predictor.3.17.20.1700000000.5.tok");
        assert_eq!(old, new);
        assert_eq!(old.map(|ack_subject| ack_subject.delivered), Some(3));
        assert_eq!(AckSubject::parse("$JS.ACK.too.short"), None);
    }
}
