//! The live page, its numbers as JSON and for Prometheus, and records over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page: whole in one answer, readable without scripts, kept fresh by them |
//! | `GET /events` | what changed on the page, as server-sent events |
//! | `GET /api/summary` | every number of the page |
//! | `GET /error_distribution.png`, `.svg` | the picture |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /healthz`, `/readyz` | whether the process lives; whether it can do its work |
//! | `POST /features`, `/y_true`, `/y_pred` | 202 once the bus has confirmed the records |
//! | `POST /predict` | predictions at once, past the bus |
//!
//! Promises: off the loopback interface nothing is served without a token; what comes from outside is escaped where it
//! is shown, bounded where it is read and checked before any of it is sent on; a bus that cannot keep up is told to the
//! client (429, 503) and never buffered here. Deliberately absent: external assets, accounts, TLS (a proxy's task).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::Period;

mod answer;
mod api;
mod depth;
mod events;
mod format;
mod gauges;
mod guard;
mod ingest;
mod listen;
mod page;
mod predict;
mod serve;
mod snapshot;
mod svg;
mod token;

pub use ingest::Ingest;
pub use serve::{BusPort, DashboardError, Provider, State, admit, serve};
pub use snapshot::{BusState, LinkState, Queue, Service};
pub use token::Token;

/// Settings of the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `auto` (127.0.0.1:8080 for the whole pipeline, none for a single service), `off`, or an address to listen on.
    pub listen: String,
    /// What a client must show as `Authorization: Bearer TOKEN`; needed off the loopback interface.
    pub token: Option<Token>,
    /// A file that holds the token, for secrets that are mounted.
    pub token_file: Option<PathBuf>,
    /// Serve the page to whoever can reach the address, without a token; records over HTTP are then refused there. For
    /// containers, whose port is published on the host's loopback interface only.
    pub public: bool,
    /// Most connections at a time; more wait.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, to think between two of them, or to take what it asked for.
    pub client_timeout: Period,
    /// Most pages that are kept fresh at a time.
    pub streams_max: usize,
    /// Shortest time between two updates of a page, in milliseconds.
    pub update_ms: u64,
    /// Without a new row for so long the stream counts as silent.
    pub silent_after: Period,
    /// An alert is raised while the mean absolute error of the last rows (at least 30) is above this.
    pub mae_max: Option<f64>,
    /// Largest body of a request in bytes.
    pub body_bytes_max: usize,
    /// Most requests that wait for the bus at a time; more are answered 429.
    pub posts_in_flight_max: usize,
    /// How long a request waits for the bus's confirmation before it is answered 503, in milliseconds.
    pub confirm_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "auto".to_owned(),
            token: None,
            token_file: None,
            public: false,
            connections_max: 256,
            client_timeout: Period::from_millis(10_000),
            streams_max: 32,
            update_ms: 500,
            silent_after: Period::from_millis(15_000),
            mae_max: None,
            body_bytes_max: 1 << 20,
            posts_in_flight_max: 32,
            confirm_ms: 10_000,
        }
    }
}

impl Config {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check(&self) -> Result<(), String> {
        match self.mae_max {
            Some(limit) if !(limit > 0.0 && limit.is_finite()) => {
                Err(format!("is {limit}, expected a format above 0"))
            }
            _ => Ok(()),
        }
    }

    /// The address to listen on, if there shall be a page.
    #[must_use]
    pub fn address(&self, whole_pipeline: bool) -> Option<String> {
        match self.listen.as_str() {
            "off" => None,
            "auto" => whole_pipeline.then(|| "127.0.0.1:8080".to_owned()),
            address => Some(address.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_pipeline_has_a_page_by_itself() {
        let listening = |listen: &str, whole| {
            Config {
                listen: listen.to_owned(),
                ..Config::default()
            }
            .address(whole)
        };
        assert_eq!(listening("auto", true), Some("127.0.0.1:8080".to_owned()));
        assert_eq!(listening("auto", false), None);
        assert_eq!(listening("off", true), None);
        assert_eq!(listening("[::1]:9", false), Some("[::1]:9".to_owned()));
    }
}
