//! Refusals as JSON: what is wrong, and with which records.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Most bad records that one answer names; the others are only counted.
const NAMED_MAX: usize = 100;

/// Why a request is refused.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<BadRecord>,
}

/// Why a record is refused.
#[derive(Debug, Serialize)]
pub(super) struct BadRecord {
    pub(super) index: usize,
    pub(super) id: Option<String>,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            retry_after_s: None,
            error: error.into(),
            records: Vec::new(),
        }
    }

    /// The client may try again after that many seconds.
    pub(super) fn busy(status: StatusCode, error: impl Into<String>, retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(status, error)
        }
    }

    /// Some records cannot be used, so none was taken.
    pub(super) fn records(mut bad: Vec<BadRecord>, of: usize) -> Self {
        let error = format!(
            "{} of {of} records cannot be used; none was taken",
            bad.len()
        );
        bad.truncate(NAMED_MAX);
        Self {
            records: bad,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, retry_after_s) = (self.status, self.retry_after_s);
        let mut response = (status, Json(self)).into_response();
        if let Some(seconds) = retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
