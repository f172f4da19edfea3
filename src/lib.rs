//! **residual** answers, on a live stream, "how wrong is my model right now?".
//!
//! Data flows one way, and the modules below are in that order:
//!
//! ```text
//! features --(features, y_true)--> bus --> predictor --(y_pred)--> bus --> metric --> metric_log.csv --> plot --> error_distribution.png
//!                                                                             \--> live summary --> web page, /metrics
//! ```
//!
//! A module imports only from modules above it; `tests/it/tidy.rs` has the table and fails on any other import.
//!
//! This library exists for the `residual` binary, its tests and its benches. None of it is a stable interface; to read
//! models in another program, use the crate `residual-model`. The modules that are shown here are worth reading on their
//! own: the contract of the bus, the formats of messages and log, the statistics, the services. The others are hidden
//! from this documentation, and public only because the binary and the tests are crates of their own.

#[cfg(not(unix))]
compile_error!(
    "residual needs a Unix system such as Linux or macOS: it is controlled by Unix signals"
);

#[doc(hidden)]
pub mod bundled;
pub mod clock;
pub mod message;
#[doc(hidden)]
pub mod shutdown;
pub mod stats;
pub mod task;
#[doc(hidden)]
pub mod telemetry;

pub mod bus;
pub mod chart;
pub mod dataset;
pub mod metric_log;

pub mod services;

#[doc(hidden)]
pub mod dashboard;

#[doc(hidden)]
pub mod config;

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod pipeline;
