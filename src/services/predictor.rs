//! Scores feature vectors: consume, predict a batch, publish, and acknowledge once the predictions are stored.
//!
//! Promises: a delivery is acknowledged only after its predictions are confirmed; a record that the model cannot
//! score goes alone to the dead letters, with its reason; the model can be replaced while the stream runs. Deliberately absent:
//! what the model is, and what becomes of predictions.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    bus::{
        BusError, Consumer, DeadLetter, Delivery, Message, Publisher, Receipts, Token, Unconfirmed,
        Verdict,
    },
    clock::Period,
    message::{self, Body, Decoded, Encoding, Features, Frame, Prediction, Probabilities, Record},
};
use residual_model::{Model, RowPredictions, Rows};

/// The group that consumes `features`.
pub const GROUP: &str = "predictor";

/// The default model file; where it does not exist, the copy that the binary carries is used.
pub const DEFAULT_MODEL: &str = "model/myfile.safetensors";

/// Settings of the predictor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A `.pkl`, `.joblib` or `.safetensors` file.
    pub model: String,
    /// How often the model file is checked for a new version; only on SIGHUP if `0s`.
    pub watch: Period,
    /// Most frames scored together.
    pub batch_frames: usize,
    /// How many full batches of predictions may be unconfirmed while the next is scored; of smaller batches, as many as
    /// have the same number of frames.
    pub batches_in_flight: usize,
    /// How predictions are encoded: `postcard`, or `json` for foreign clients.
    pub encoding: Encoding,
    /// Whether a classifier's predictions carry their probabilities, which the log-loss needs.
    pub probabilities: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.to_owned(),
            watch: Period::from_millis(0),
            batch_frames: 16,
            batches_in_flight: 4,
            encoding: Encoding::Postcard,
            probabilities: true,
        }
    }
}

/// Batches of at most this many rows are scored on the service's own thread, and frames of as many are logged row by row;
/// larger frames only on the level `debug`.
const SMALL_BATCH: usize = 16;

/// Where the service gets features, its model, and sends predictions.
pub struct Ports {
    /// The topic `features` as group [`GROUP`].
    pub features: Box<dyn Consumer>,
    /// To the topic `y_pred`.
    pub predictions: Box<dyn Publisher>,
    /// The current model; a new one is used from the next batch on.
    pub model: watch::Receiver<Arc<Model>>,
}

/// Why the predictor ended early.
#[derive(Debug, thiserror::Error)]
pub enum PredictorError {
    /// The bus refused.
    #[error("predictions could not be exchanged")]
    Bus(#[from] BusError),
    /// The bus closed before it confirmed.
    #[error("predictions were not confirmed")]
    Unconfirmed(#[from] Unconfirmed),
}

/// Scores until `stop` is cancelled, then finishes what it has begun.
///
/// # Errors
/// When the bus refuses for good.
pub async fn run(
    ports: Ports,
    config: &Config,
    stop: CancellationToken,
) -> Result<(), PredictorError> {
    let mut predictor = Predictor {
        ports,
        config,
        in_flight: Receipts::default(),
        frames_in_flight: 0,
    };
    predictor.pump(&stop).await?;
    predictor.finish().await
}

struct Predictor<'a> {
    ports: Ports,
    config: &'a Config,
    /// Deliveries of each batch whose predictions are not confirmed yet.
    in_flight: Receipts<Vec<Token>>,
    /// How many they are.
    frames_in_flight: usize,
}

/// What became of one batch of deliveries.
#[derive(Default)]
struct ScoredBatch {
    replies: Vec<Message>,
    replied: Vec<Token>,
    settled: Vec<(Token, Verdict)>,
    dead_letters: Vec<DeadLetter>,
}

impl Predictor<'_> {
    async fn pump(&mut self, stop: &CancellationToken) -> Result<(), PredictorError> {
        loop {
            // Counted in frames: batches of a slow stream are small, and four of them would not hide a round trip.
            let batch_max = self.config.batch_frames.max(1);
            let frames_max = batch_max.saturating_mul(self.config.batches_in_flight.max(1));
            let room = batch_max.min(frames_max.saturating_sub(self.frames_in_flight));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                (tokens, confirmed) = self.in_flight.oldest() => self.acknowledge(tokens, confirmed).await?,
                batch = self.ports.features.recv(room, Duration::ZERO), if room > 0 => self.score(batch?).await?,
            }
        }
    }

    async fn score(&mut self, batch: Vec<Delivery>) -> Result<(), PredictorError> {
        let model = Arc::clone(&self.ports.model.borrow_and_update());
        let scored = score_batch(&model, batch, self.config).await;
        if !scored.dead_letters.is_empty() {
            self.ports.features.dead_letter(scored.dead_letters).await?;
        }
        if !scored.settled.is_empty() {
            self.ports.features.settle(scored.settled).await?;
        }
        if !scored.replies.is_empty() {
            let receipt = self.ports.predictions.publish(scored.replies).await?;
            self.frames_in_flight += scored.replied.len();
            self.in_flight.push(receipt, scored.replied);
        }
        Ok(())
    }

    async fn acknowledge(
        &mut self,
        tokens: Vec<Token>,
        confirmed: Result<(), Unconfirmed>,
    ) -> Result<(), PredictorError> {
        self.frames_in_flight -= tokens.len();
        let verdict = if confirmed.is_ok() {
            Verdict::Ack
        } else {
            Verdict::Release
        };
        let verdicts = tokens
            .into_iter()
            .map(|token| (token, verdict.clone()))
            .collect();
        self.ports.features.settle(verdicts).await?;
        Ok(confirmed?)
    }

    async fn finish(mut self) -> Result<(), PredictorError> {
        self.ports.features.stop().await?;
        while !self.in_flight.is_empty() {
            let (tokens, confirmed) = self.in_flight.oldest().await;
            self.acknowledge(tokens, confirmed).await?;
        }
        self.ports.features.close().await?;
        Ok(self.ports.predictions.close().await?)
    }
}

/// A decoded delivery.
struct DecodedDelivery {
    message_id: Uuid,
    token: Token,
    records: Vec<Record<Features>>,
}

async fn score_batch(model: &Arc<Model>, batch: Vec<Delivery>, config: &Config) -> ScoredBatch {
    let mut scored = ScoredBatch::default();
    let decoded: Vec<_> = batch
        .into_iter()
        .filter_map(|delivery| decode(delivery, model.info().n_features, &mut scored))
        .collect();
    let mut answers = predict(model, &decoded, config.probabilities)
        .await
        .into_iter();
    for DecodedDelivery {
        message_id,
        token,
        records,
    } in decoded
    {
        let answered: Vec<_> = answers.by_ref().take(records.len()).collect();
        reply(
            &mut scored,
            message_id,
            token,
            records,
            answered,
            config.encoding,
        );
    }
    scored
}

/// Decodes a delivery; what cannot be used goes to the dead letters on the way.
fn decode(
    delivery: Delivery,
    n_features: usize,
    scored: &mut ScoredBatch,
) -> Option<DecodedDelivery> {
    let Delivery {
        message,
        attempt,
        token,
    } = delivery;
    let decoded: Decoded<Features> = match message::decode(&message.content_type, &message.body) {
        Ok(decoded) => decoded,
        Err(error) => {
            scored
                .settled
                .push((token, Verdict::Dead(crate::telemetry::with_causes(&error))));
            return None;
        }
    };
    let mut records = Vec::with_capacity(decoded.records.len());
    for bad in decoded.malformed {
        scored.dead_letters.push(dead_letter(
            message.id,
            bad.index,
            bad.frame,
            bad.reason.to_string(),
            attempt,
        ));
    }
    for (index, record) in decoded.records.into_iter().enumerate() {
        let width = record.body.0.len();
        if width == n_features {
            records.push(record);
        } else {
            let reason = format!("record has {width} features, the model takes {n_features}");
            scored.dead_letters.push(record_dead_letter(
                message.id, index, &record, reason, attempt,
            ));
        }
    }
    if records.is_empty() {
        scored.settled.push((token, Verdict::Ack));
        return None;
    }
    Some(DecodedDelivery {
        message_id: message.id,
        token,
        records,
    })
}

/// One answer a row, in order: the prediction, or why there is none.
async fn predict(
    model: &Arc<Model>,
    decoded: &[DecodedDelivery],
    with_probabilities: bool,
) -> Vec<Result<Prediction, String>> {
    let count: usize = decoded.iter().map(|decoded| decoded.records.len()).sum();
    if count == 0 {
        return Vec::new();
    }
    let width = model.info().n_features;
    let mut values = Vec::with_capacity(count * width);
    for record in decoded.iter().flat_map(|decoded| &decoded.records) {
        values.extend_from_slice(&record.body.0);
    }
    let rows = match Rows::new(width, values) {
        Ok(rows) => rows,
        Err(error) => return vec![Err(error.to_string()); count],
    };
    let answers = if count <= SMALL_BATCH {
        Ok(model.predict_each(&rows, with_probabilities))
    } else {
        // A large batch of a slow model would delay everything else on this thread.
        let model = Arc::clone(model);
        tokio::task::spawn_blocking(move || model.predict_each(&rows, with_probabilities)).await
    };
    answers.map_or_else(
        |_| vec![Err("the model failed on this batch".to_owned()); count],
        predictions,
    )
}

fn predictions(answers: RowPredictions) -> Vec<Result<Prediction, String>> {
    let mut probabilities = answers.probabilities.into_iter();
    let values = answers.values.into_iter();
    values
        .map(|value| {
            let probabilities = probabilities.next().flatten();
            let prediction =
                Prediction::new(value.map_err(|error| crate::telemetry::with_causes(&error))?);
            // A model may give scores that do not add up to 1; these are no probabilities and are left out.
            Ok(match probabilities.map(Probabilities::new) {
                Some(Ok(probabilities)) => prediction.with_probabilities(probabilities),
                Some(Err(_)) | None => prediction,
            })
        })
        .collect()
}

fn reply(
    scored: &mut ScoredBatch,
    message_id: Uuid,
    token: Token,
    records: Vec<Record<Features>>,
    answers: Vec<Result<Prediction, String>>,
    encoding: Encoding,
) {
    let mut predictions = Vec::with_capacity(records.len());
    for (index, (record, answer)) in records.into_iter().zip(answers).enumerate() {
        match answer {
            Ok(body) => predictions.push(Record {
                id: record.id,
                body,
            }),
            Err(reason) => scored
                .dead_letters
                .push(record_dead_letter(message_id, index, &record, reason, 1)),
        }
    }
    log_predicted(&predictions);
    metrics::counter!("residual_rows_predicted_total").increment(predictions.len() as u64);
    if predictions.is_empty() {
        scored.settled.push((token, Verdict::Ack));
        return;
    }
    let frame = message::encode(&predictions, encoding);
    // A message that is delivered again gets a reply with the same id, so a broker that deduplicates drops it.
    let id = Uuid::new_v5(&message_id, GROUP.as_bytes());
    scored
        .replies
        .push(Message::new(id, frame.content_type, frame.body));
    scored.replied.push(token);
}

fn log_predicted(predictions: &[Record<Prediction>]) {
    for Record { id, body } in predictions {
        let y_pred = body.y_pred;
        if predictions.len() <= SMALL_BATCH {
            tracing::info!(%id, y_pred, "predicted");
        } else {
            tracing::debug!(%id, y_pred, "predicted");
        }
    }
}

fn record_dead_letter(
    message_id: Uuid,
    index: usize,
    record: &Record<Features>,
    reason: String,
    attempts: u32,
) -> DeadLetter {
    dead_letter(
        message_id,
        index,
        message::encode(std::slice::from_ref(record), Encoding::Json),
        reason,
        attempts,
    )
}

fn dead_letter(
    message_id: Uuid,
    index: usize,
    frame: Frame,
    reason: String,
    attempts: u32,
) -> DeadLetter {
    tracing::warn!(%reason, "record buried in the dead letters");
    let id = Uuid::new_v5(&message_id, format!("dead/{index}").as_bytes());
    DeadLetter {
        message: Message::new(id, frame.content_type, frame.body),
        reason,
        attempts,
    }
}
