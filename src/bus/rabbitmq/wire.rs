//! Messages as AMQP carries them.

use std::str::FromStr;

use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};
use uuid::Uuid;

use crate::bus::{
    Message,
    ids::named_id,
    remote::{pack_headers, unpack_headers},
};

/// Survives a restart of the broker.
const PERSISTENT: u8 = 2;

const DELIVERY_COUNT: &str = "x-delivery-count";

/// Headers that the broker adds.
const BROKERS_OWN: [&str; 4] = [DELIVERY_COUNT, "x-death", "x-first-death", "x-last-death"];

pub(super) fn to_properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in pack_headers(&message.headers) {
        if let Ok(name) = ShortString::try_new(name) {
            headers.insert(name, AMQPValue::LongString(value.into()));
        }
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.to_string().into())
        .with_headers(headers);
    match ShortString::try_new(message.content_type.as_str()) {
        Ok(content_type) if !message.content_type.is_empty() => {
            properties.with_content_type(content_type)
        }
        _ => properties,
    }
}

/// What was published, by us or by anybody, and which attempt this is.
///
/// A message without an id gets a random one, another at each delivery: AMQP has no position in the queue to derive one
/// from.
pub(super) fn from_delivery(delivery: Delivery, fresh_id: impl FnOnce() -> Uuid) -> (Message, u32) {
    let properties = delivery.properties;
    let id = properties.message_id().as_ref().map(ShortString::as_str);
    let content_type = properties.content_type().as_ref().map(ShortString::as_str);
    let headers = properties.headers().as_ref();
    let attempt = headers.map_or(1, attempt);
    let own = headers.into_iter().flatten().filter_map(|(name, value)| {
        let brokers_own = BROKERS_OWN.iter().any(|own| name.as_str().starts_with(own));
        let value = scalar(value).filter(|_| !brokers_own)?;
        Some((name.as_str().to_lowercase(), value))
    });
    let message = Message {
        id: id.map_or_else(fresh_id, parse_id),
        content_type: content_type.unwrap_or_default().to_owned(),
        headers: unpack_headers(own),
        body: Bytes::from(delivery.data),
    };
    (message, attempt)
}

fn attempt(headers: &FieldTable) -> u32 {
    let returns = match headers.inner().get(DELIVERY_COUNT) {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => *count,
        Some(AMQPValue::ShortInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortShortUInt(count)) => u32::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortUInt(count)) => u32::from(*count),
        _ => 0,
    };
    returns.saturating_add(1)
}

fn scalar(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        _ => return None,
    })
}

fn parse_id(id: &str) -> Uuid {
    Uuid::from_str(id).unwrap_or_else(|_| named_id(&["message-id", id]))
}
