//! Records from HTTP clients onto the bus.
//!
//! Promises: all records of a request are checked before any is sent; 202 means that the bus has confirmed them; the
//! same request sent again has the same message ids, so a broker that deduplicates drops the second. When a client
//! hangs up, what it sent is still published as a whole.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    body::{check_widths, decode, read},
    record_sink::unavailable,
    refusal::Refusal,
    state::AppState,
};
use crate::{
    bus::Message,
    message::{self, Body, Encoding, Features, Record},
};

/// Most records in one frame, as the features service packs them too.
const FRAME_RECORDS: usize = 256;

/// The UUID namespace of messages that came over HTTP.
const NAMESPACE: Uuid = Uuid::from_u128(0x7265_7369_6475_616c_8000_6874_7470_696e);

/// Accepts one record or an array.
pub(super) async fn post<B: Body>(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(sink) = &state.records else {
        let error = "this process has no bus to send records to";
        return Err(Refusal::new(StatusCode::NOT_FOUND, error));
    };
    if state.draining.is_cancelled() {
        return Err(unavailable("the process is stopping; nothing was taken"));
    }
    let (encoding, body) = read(request, state.config.body_bytes_max).await?;
    let records = decode::<B>(encoding, &body)?;
    if B::TOPIC == Features::TOPIC
        && let Some(model) = &state.model
    {
        let expected = model.borrow().info().n_features;
        check_widths(&records, expected)?;
    }
    let messages = records
        .chunks(FRAME_RECORDS)
        .map(|chunk| to_message(chunk, encoding))
        .collect();
    sink.send(B::TOPIC, messages).await?;
    metrics::counter!("residual_records_posted_total", "topic" => B::TOPIC)
        .increment(records.len() as u64);
    let answer = json!({ "accepted": records.len(), "topic": B::TOPIC });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The id is a hash of topic and content, so equal content has an equal id.
fn to_message<B: Body>(records: &[Record<B>], encoding: Encoding) -> Message {
    let frame = message::encode(records, encoding);
    let topic = Uuid::new_v5(&NAMESPACE, B::TOPIC.as_bytes());
    Message::new(
        Uuid::new_v5(&topic, &frame.body),
        frame.content_type,
        frame.body,
    )
}
