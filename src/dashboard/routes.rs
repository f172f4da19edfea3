//! Which request goes where.

use std::sync::Arc;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};

use super::{access, api, events, ingest, page, predict, state::AppState};
use crate::message::{Features, Prediction, Truth};

pub(super) fn router(state: Arc<AppState>, access: access::Access) -> Router {
    Router::new()
        .route("/", get(page::whole))
        .route("/events", get(events::stream))
        .route("/api/summary", get(api::summary))
        .route("/error_distribution.png", get(api::png))
        .route("/error_distribution.svg", get(api::svg))
        .route("/metrics", get(api::metrics))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/login", post(access::login))
        .route("/features", post(ingest::post::<Features>))
        .route("/y_true", post(ingest::post::<Truth>))
        .route("/y_pred", post(ingest::post::<Prediction>))
        .route("/predict", post(predict::post))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::wrong_method)
        .with_state(state)
        .layer(from_fn_with_state(Arc::new(access), access::check))
        .layer(from_fn(access::headers))
}
