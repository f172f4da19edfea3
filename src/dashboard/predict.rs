//! Predictions answered at once, without the bus; nothing is recorded.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    body::{check_widths, decode, read},
    refusal::{BadRecord, Refusal},
    state::AppState,
};
use crate::{
    message::{self, Body as _, Encoding, Features, Prediction, Probabilities, Record},
    telemetry::with_causes,
};
use residual_model::{Model, Rows};

/// Answers a record with a record, and an array with an array in the same order.
pub(super) async fn post(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(model) = &state.model else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "this process has no model",
        ));
    };
    let model = Arc::clone(&model.borrow());
    let (encoding, body) = read(request, state.config.body_bytes_max).await?;
    let is_array = body.trim_ascii_start().starts_with(b"[");
    let records = decode::<Features>(encoding, &body)?;
    check_widths(&records, model.info().n_features)?;
    let Ok(permit) = state.predicting.try_acquire() else {
        let error = "the model is busy with other requests";
        return Err(Refusal::busy(StatusCode::TOO_MANY_REQUESTS, error, 1));
    };
    let answered = tokio::task::spawn_blocking(move || predict(&model, records)).await;
    drop(permit);
    let predictions = answered.unwrap_or_else(|_| {
        Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the model failed unexpectedly",
        ))
    })?;
    Ok(reply(&predictions, encoding, is_array))
}

fn predict(
    model: &Model,
    records: Vec<Record<Features>>,
) -> Result<Vec<Record<Prediction>>, Refusal> {
    let of = records.len();
    let values = records
        .iter()
        .flat_map(|record| &record.body.0)
        .copied()
        .collect();
    let failed = |error: &dyn std::error::Error| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the model failed: {}", with_causes(error)),
        )
    };
    let rows = Rows::new(model.info().n_features, values).map_err(|error| failed(&error))?;
    let answers = model.predict_each(&rows, true);
    let mut probabilities = answers.probabilities.into_iter();
    let mut predictions = Vec::with_capacity(of);
    let mut bad = Vec::new();
    for (index, (record, answer)) in records.into_iter().zip(answers.values).enumerate() {
        let probabilities = probabilities.next().flatten().map(Probabilities::new);
        match answer {
            Ok(y_pred) => {
                let body = Prediction::new(y_pred);
                let body = match probabilities {
                    Some(Ok(probabilities)) => body.with_probabilities(probabilities),
                    Some(Err(_)) | None => body,
                };
                predictions.push(Record {
                    id: record.id,
                    body,
                });
            }
            Err(error) => bad.push(BadRecord {
                index,
                id: Some(record.id.to_string()),
                reason: crate::telemetry::with_causes(&error),
            }),
        }
    }
    if bad.is_empty() {
        Ok(predictions)
    } else {
        Err(Refusal::records(bad, of))
    }
}

fn reply(predictions: &[Record<Prediction>], encoding: Encoding, is_array: bool) -> Response {
    let frame = message::encode(predictions, encoding);
    let is_bare = encoding == Encoding::Json && is_array && predictions.len() == 1;
    let body = if is_bare {
        Body::from([b"[".as_slice(), &frame.body, b"]"].concat())
    } else {
        Body::from(frame.body)
    };
    ([(header::CONTENT_TYPE, frame.content_type)], body).into_response()
}
