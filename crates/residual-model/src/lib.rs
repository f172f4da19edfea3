//! Scikit-learn models without Python and without trust.
//!
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
//!
//! # Stability
//!
//! Public types that will grow are `#[non_exhaustive]`. [`Task`] and [`Labels`] are complete by their meaning, so that a `match` over
//! them stays checked. Deliberately absent: training, models of several targets, and models of other libraries.

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
pub use inspect::{GlobalName, Inspection, inspect, inspect_bytes};
pub use labels::Labels;
pub use model::Model;
pub use open::{convert, open, open_bytes};
pub use per_row::{RowError, RowPredictions};
pub use rows::Rows;
