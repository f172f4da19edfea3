//! The body of a request: read within bounds, decoded whole or not at all.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
};
use tokio::time::timeout;

use super::refusal::{BadRecord, Refusal};
use crate::{
    clock::saturating_ms,
    message::{self, Body, Decoded, Encoding, JSON, POSTCARD, Record},
    telemetry::with_causes,
};

/// How long a client may take to send its body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body, if its content type is known, its size within bounds and its sender fast enough.
pub(super) async fn read(request: Request, bytes_max: usize) -> Result<(Encoding, Bytes), Refusal> {
    let encoding = encoding_of(request.headers())?;
    let body = timeout(
        BODY_TIMEOUT,
        axum::body::to_bytes(request.into_body(), bytes_max),
    )
    .await;
    match body {
        Ok(Ok(body)) => Ok((encoding, body)),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the body is larger than {bytes_max} bytes or incomplete; send fewer records at a time"
            ),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the body took longer than {} ms",
                saturating_ms(BODY_TIMEOUT)
            ),
        )),
    }
}

/// The content type is required: it keeps other web sites in a local browser from posting here.
fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        return Ok(Encoding::Json);
    }
    if content_type == POSTCARD {
        return Ok(Encoding::Postcard);
    }
    let error = format!("send records with `Content-Type: {JSON}` (or `{POSTCARD}`)");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

/// All records; one that cannot be used refuses the whole request.
pub(super) fn decode<B: Body>(encoding: Encoding, body: &[u8]) -> Result<Vec<Record<B>>, Refusal> {
    let content_type = match encoding {
        Encoding::Json => JSON,
        Encoding::Postcard => POSTCARD,
    };
    let Decoded { records, malformed } = message::decode::<B>(content_type, body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, with_causes(&error)))?;
    if malformed.is_empty() {
        return Ok(records);
    }
    let of = records.len() + malformed.len();
    let bad = malformed.into_iter().map(|bad| BadRecord {
        index: bad.index,
        id: bad.id.map(|id| id.to_string()),
        reason: bad.reason.to_string(),
    });
    Err(Refusal::records(bad.collect(), of))
}

/// Refuses records of another width than the model's. The predictor would dead-letter them; here the sender can still
/// be told.
pub(super) fn check_widths<B: Body>(records: &[Record<B>], expected: usize) -> Result<(), Refusal> {
    let bad: Vec<_> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.body.values().len() != expected)
        .map(|(index, record)| BadRecord {
            index,
            id: Some(record.id.to_string()),
            reason: format!(
                "record has {} features, the model takes {expected}",
                record.body.values().len()
            ),
        })
        .collect();
    if bad.is_empty() {
        Ok(())
    } else {
        Err(Refusal::records(bad, records.len()))
    }
}
