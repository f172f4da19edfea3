//! **residual** answers, on a live stream, "how wrong is my model right now?".
//!
//! Data flows one way, and the modules below stand in that order:
//!
//! ```text
//! features --(features, y_true)--> bus --> predictor --(y_pred)--> bus --> metric --> metric_log.csv --> plot --> error_distribution.png
//!                                                                             \--> live summary --> web page, /metrics
//! ```
//!
//! A module imports only from modules above it; `tests/it/tidy.rs` holds the table and fails on any other arrow.
//! This file has no logic.

pub mod bundled;
pub mod clock;
pub mod message;
pub mod shutdown;
pub mod stats;
pub mod task;
pub mod telemetry;

pub mod bus;
pub mod chart;
pub mod dataset;
pub mod metric_log;

pub mod services;

pub mod dashboard;

pub mod config;

pub mod cli;
pub mod commands;
pub mod pipeline;
