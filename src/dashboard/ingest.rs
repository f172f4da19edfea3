//! Records from HTTP clients onto the bus.
//!
//! Promises: all records of a request are checked before any is sent; 202 means that the bus has confirmed them; the
//! same request sent again has the same message ids, so a broker that deduplicates drops the second. A client that
//! hangs up does not tear a publication in half.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::timeout,
};
use uuid::Uuid;

use super::{
    Config,
    answer::{BadRecord, Refusal},
    serve::AppState,
};
use crate::{
    bus::{BusError, Link, Message, Publisher, Unconfirmed},
    clock::saturating_ms,
    message::{self, Body, Decoded, Encoding, Features, JSON, POSTCARD, Prediction, Record, Truth},
};

/// Most records in one frame, as our own source packs them.
const FRAME_RECORDS: usize = 256;

/// How long a client may take to send its body.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Marks the ids of messages that came over HTTP.
const NAMESPACE: Uuid = Uuid::from_u128(0x7265_7369_6475_616c_8000_6874_7470_696e);

/// Publishers for posted records.
pub struct Ingest {
    /// To `features`.
    pub features: Box<dyn Publisher>,
    /// To `y_true`.
    pub truths: Box<dyn Publisher>,
    /// To `y_pred`.
    pub predictions: Box<dyn Publisher>,
    /// Posts are refused at once while the broker is away.
    pub link: watch::Receiver<Link>,
}

/// One request at a time goes to a publisher; how many may wait is bounded.
pub(super) struct Gate {
    lanes: [Lane; 3],
    link: watch::Receiver<Link>,
    places: Arc<Semaphore>,
    confirm: Duration,
}

struct Lane {
    topic: &'static str,
    publisher: Arc<Mutex<Option<Box<dyn Publisher>>>>,
}

impl Lane {
    fn new<B: Body>(publisher: Box<dyn Publisher>) -> Self {
        Self {
            topic: B::TOPIC,
            publisher: Arc::new(Mutex::new(Some(publisher))),
        }
    }

    async fn close(&self) -> Result<(), BusError> {
        match self.publisher.lock().await.take() {
            Some(publisher) => publisher.close().await,
            None => Ok(()),
        }
    }
}

/// Why records are not on the bus.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}

impl Gate {
    pub(super) fn new(ingest: Ingest, config: &Config) -> Self {
        Self {
            lanes: [
                Lane::new::<Features>(ingest.features),
                Lane::new::<Truth>(ingest.truths),
                Lane::new::<Prediction>(ingest.predictions),
            ],
            link: ingest.link,
            places: Arc::new(Semaphore::new(config.posts_in_flight_max.max(1))),
            confirm: Duration::from_millis(config.confirm_ms),
        }
    }

    /// Sends and waits for the bus's word.
    async fn send(&self, topic: &str, messages: Vec<Message>) -> Result<(), Refusal> {
        if let Link::Down { .. } = *self.link.borrow() {
            return Err(away("the broker is away; nothing was taken"));
        }
        let Some(lane) = self.lanes.iter().find(|lane| lane.topic == topic) else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no such topic"));
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let error = "too many requests wait for the bus; nothing was taken";
            return Err(Refusal::busy(StatusCode::TOO_MANY_REQUESTS, error, 1));
        };
        let publisher = Arc::clone(&lane.publisher);
        let sending = tokio::spawn(async move {
            let sent = publish(&publisher, messages).await;
            drop(place);
            sent
        });
        match timeout(self.confirm, sending).await {
            Ok(Ok(sent)) => sent.map_err(|error| refusal(&error)),
            Ok(Err(_)) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "sending broke down",
            )),
            Err(_) => Err(away(
                "the bus has not confirmed in time; send the same request again",
            )),
        }
    }

    /// Lets nothing more in; returns when all that was is confirmed, or after as long as a client waits for that.
    pub(super) async fn close(&self) {
        let closing = self.lanes.iter().map(|lane| async {
            if !matches!(timeout(self.confirm, lane.close()).await, Ok(Ok(()))) {
                let topic = lane.topic;
                tracing::warn!(
                    topic,
                    "posted records are unconfirmed; whoever sent them was told so"
                );
            }
        });
        futures::future::join_all(closing).await;
    }
}

async fn publish(
    publisher: &Mutex<Option<Box<dyn Publisher>>>,
    messages: Vec<Message>,
) -> Result<(), PublishError> {
    let receipt = match publisher.lock().await.as_mut() {
        Some(publisher) => publisher.publish(messages).await?,
        None => return Err(BusError::Closed.into()),
    };
    Ok(receipt.await?)
}

fn away(error: &str) -> Refusal {
    Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, error, 5)
}

fn refusal(error: &PublishError) -> Refusal {
    match error {
        PublishError::Bus(BusError::TooLarge { .. }) => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        PublishError::Bus(BusError::Closed) => away("the process is stopping; nothing was taken"),
        PublishError::Unconfirmed(_) => {
            away("the bus has not confirmed; send the same request again")
        }
        PublishError::Bus(_) => {
            tracing::error!(%error, "posted records could not be published");
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                "the bus refused; its reason is in the log",
            )
        }
    }
}

/// Takes one record or an array.
pub(super) async fn post<B: Body>(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(gate) = &state.ingest else {
        let error = "this process has no bus to put records on";
        return Err(Refusal::new(StatusCode::NOT_FOUND, error));
    };
    if state.draining.is_cancelled() {
        return Err(away("the process is stopping; nothing was taken"));
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
    gate.send(B::TOPIC, messages).await?;
    metrics::counter!("residual_records_posted_total", "topic" => B::TOPIC)
        .increment(records.len() as u64);
    let answer = json!({ "accepted": records.len(), "topic": B::TOPIC });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Equal content gives an equal id.
fn to_message<B: Body>(records: &[Record<B>], encoding: Encoding) -> Message {
    let frame = message::encode(records, encoding);
    let topic = Uuid::new_v5(&NAMESPACE, B::TOPIC.as_bytes());
    Message::new(
        Uuid::new_v5(&topic, &frame.body),
        frame.content_type,
        frame.body,
    )
}

/// The whole body, if its kind, its size and its pace are right.
pub(super) async fn read(request: Request, bytes_max: usize) -> Result<(Encoding, Bytes), Refusal> {
    let encoding = encoding_of(request.headers())?;
    let body = timeout(
        BODY_PATIENCE,
        axum::body::to_bytes(request.into_body(), bytes_max),
    )
    .await;
    match body {
        Ok(Ok(body)) => Ok((encoding, body)),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the body is larger than {bytes_max} bytes or broke off; send fewer records at a time"
            ),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the body took longer than {} ms",
                saturating_ms(BODY_PATIENCE)
            ),
        )),
    }
}

/// A content type must be told: that keeps foreign pages in a local browser from posting.
fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let told = headers
        .get(header::CONTENT_TYPE)
        .and_then(|told| told.to_str().ok())
        .unwrap_or_default();
    let essence = told.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        return Ok(Encoding::Json);
    }
    if told == POSTCARD {
        return Ok(Encoding::Postcard);
    }
    let error = format!("send records with `Content-Type: {JSON}` (or `{POSTCARD}`)");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

/// Every record or none.
pub(super) fn decode<B: Body>(encoding: Encoding, body: &[u8]) -> Result<Vec<Record<B>>, Refusal> {
    let content_type = match encoding {
        Encoding::Json => JSON,
        Encoding::Postcard => POSTCARD,
    };
    let Decoded { records, malformed } =
        message::decode::<B>(content_type, body).map_err(|error| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                crate::telemetry::with_causes(&error),
            )
        })?;
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

/// The predictor would bury them; here the sender is still there to be told.
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
