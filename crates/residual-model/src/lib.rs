//! Scikit-learn models without Python and without trust.
//!
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! A pickle becomes an inert object graph (`pickle`), the graph an intermediate form (`sklearn`, `form`), the form either a
//! safetensors file (`store`) or an estimator in candle f64 tensors and flat trees (`estimators`, `transformers`).
//! Deliberately absent: training, models of several targets, and anything that is not scikit-learn's.

mod error;
mod estimators;
mod form;
mod info;
mod labels;
mod load;
mod per_row;
mod pickle;
mod rows;
mod sklearn;
mod store;
mod tensors;
mod transformers;

use std::fmt::Debug;

pub use error::ModelError;
pub use info::{ModelInfo, Task};
pub use labels::Labels;
pub use load::{Inspection, Model, convert, inspect, open, open_bytes};
pub use per_row::Answers;
pub use rows::Rows;

/// Anything that predicts. Rows come as they would to scikit-learn's `predict`.
pub trait Estimator: Send + Sync + Debug {
    /// Columns it wants.
    fn n_features(&self) -> usize;

    /// One number a row: the target's value or the label (for text labels its index).
    ///
    /// # Errors
    /// When the rows are of another width, or hold a value it has no answer for.
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError>;

    /// A classifier's labels.
    fn classes(&self) -> Option<&Labels> {
        None
    }

    /// A probability for each class of each row, where it has any.
    fn predict_proba(&self, _rows: &Rows) -> Option<Result<Rows, ModelError>> {
        None
    }

    /// A score for each class of each row, or one score for two classes, where it has any.
    fn decision_function(&self, _rows: &Rows) -> Option<Result<Rows, ModelError>> {
        None
    }

    /// What a prediction is.
    fn task(&self) -> Task {
        if self.classes().is_some() {
            Task::Classification
        } else {
            Task::Regression
        }
    }
}
