//! The live page, its numbers as JSON and for Prometheus, and records over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page: complete in one answer, readable without scripts, kept up to date by them |
//! | `GET /events` | what changed on the page, as server-sent events |
//! | `GET /api/summary` | every number of the page |
//! | `GET /error_distribution.png`, `.svg` | the picture |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /healthz`, `/readyz` | whether the process lives; whether it can do its work |
//! | `POST /features`, `/y_true`, `/y_pred` | 202 once the bus has confirmed the records |
//! | `POST /predict` | predictions at once, without the bus |
//!
//! Promises: outside the loopback interface nothing is served without a token, unless the page is made public; what
//! comes from outside is escaped where it is shown, bounded where it is read, and checked before any of it is sent on;
//! when the bus cannot keep up, the client is told (429, 503) and nothing is buffered here. Deliberately absent:
//! external assets, accounts, TLS (a proxy's task).

mod access;
mod api;
mod body;
mod bus_state;
mod config;
mod error;
mod events;
mod format;
mod ingest;
mod listen;
mod page;
mod ports;
mod predict;
mod prometheus;
mod record_sink;
mod refusal;
mod routes;
mod serve;
mod snapshot;
mod state;
mod svg;
mod token;

pub use config::Config;
pub use error::{DashboardError, MaeMaxError};
pub use ports::{BusPort, Ingest, Ports, Provider};
pub use serve::{required_token, serve};
pub use snapshot::Service;
pub use token::Token;
