//! Scikit-learn models without Python and without trust.
//!
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! A pickle becomes an inert object graph (`pickle`), the graph an intermediate form (`sklearn`, `form`), the form either a
//! safetensors file (`store`) or an estimator in candle f64 tensors and flat trees (`estimators`, `transformers`).
//! Deliberately absent: training, models of several targets, and anything that is not scikit-learn's.

mod dense;
mod error;
mod estimators;
mod form;
mod info;
mod inspect;
mod labels;
#[cfg(test)]
mod layers;
mod model;
mod numeric;
mod open;
mod parallel;
mod per_row;
mod pickle;
mod rows;
mod sklearn;
mod store;
mod tensors;
mod transformers;

pub use error::ModelError;
pub use info::{ModelInfo, Task};
pub use inspect::{Inspection, inspect};
pub use labels::Labels;
pub use model::Model;
pub use open::{convert, open, open_bytes};
pub use per_row::{RowError, RowPredictions};
pub use rows::Rows;
