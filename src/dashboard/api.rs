//! Answers for other programs: numbers, the picture, health.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    prometheus,
    refusal::Refusal,
    snapshot::{LinkState, StatusSnapshot},
    state::AppState,
};
use crate::chart::{self, Format};

pub(super) async fn summary(State(state): State<Arc<AppState>>) -> Json<StatusSnapshot> {
    Json(state.snapshot())
}

/// The picture as the plot service drew it last; drawn anew if that one is not a PNG.
pub(super) async fn png(State(state): State<Arc<AppState>>) -> Result<Response, Refusal> {
    let path = state.picture.clone();
    let is_png = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if !is_png {
        return drawn(&state, Format::Png).await;
    }
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    match read {
        Ok(Ok(bytes)) => Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response()),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "no picture yet; it needs two rows",
        )),
    }
}

/// The picture, drawn from the newest numbers.
pub(super) async fn svg(State(state): State<Arc<AppState>>) -> Result<Response, Refusal> {
    drawn(&state, Format::Svg).await
}

async fn drawn(state: &AppState, format: Format) -> Result<Response, Refusal> {
    let distribution = state.view.borrow().distribution.clone();
    let Some(distribution) = distribution else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "no picture yet; it needs two rows",
        ));
    };
    let style = state.style.clone();
    let drawn =
        tokio::task::spawn_blocking(move || chart::render(&distribution, &style, format)).await;
    match drawn {
        Ok(Ok(bytes)) => Ok(([(header::CONTENT_TYPE, format.media_type())], bytes).into_response()),
        _ => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the picture could not be drawn",
        )),
    }
}

pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    prometheus::set_gauges(&state.snapshot());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (state.metrics)()).into_response()
}

/// Answers as long as the process lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the process can do its work now.
pub(super) async fn readyz(State(state): State<Arc<AppState>>) -> Response {
    let reason = not_ready(&state);
    let status = if reason.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": reason.is_none(), "reason": reason })),
    )
        .into_response()
}

fn not_ready(state: &AppState) -> Option<String> {
    if state.draining.is_cancelled() || state.stop.is_cancelled() {
        return Some("stopping".to_owned());
    }
    let bus = state.bus.borrow();
    match bus.as_ref().map(|bus| &bus.link) {
        // Anybody may ask here, so the broker's own message is left out.
        Some(LinkState::Down { tries, .. }) => {
            Some(format!("broker not reachable after {tries} tries"))
        }
        Some(LinkState::Up) | None => None,
    }
}

pub(super) async fn not_found() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no such page; `/` has the live page, `/api/summary` its numbers",
    )
}

pub(super) async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong method; pages are read with GET, records are sent with POST",
    )
}
