//! The intermediate form: what a model computes, free of any library version.
//!
//! The extractors write it from a pickle, the safetensors file keeps it as JSON beside the tensors, and the estimators are
//! built from it, so a pickle and its converted file run the very same arithmetic. Numbers stand in [`Tensors`](super::tensors::Tensors); here are
//! only names and small integers. A change of meaning raises [`FORMAT`].

use serde::{Deserialize, Serialize};

use super::info::Labels;
use super::tensors::Key;

/// Format number of the form below.
pub(super) const FORMAT: u32 = 1;

/// An estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Form {
    /// `link(X @ coef.T + intercept)` with one target.
    Linear {
        coef: Key,
        intercept: Key,
        link: Link,
    },
    /// One score a class, or one for two classes.
    LinearClassifier {
        coef: Key,
        intercept: Key,
        classes: Labels,
        proba: Proba,
    },
}

/// From the linear predictor to the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Link {
    Identity,
    Exp,
}

/// From scores to probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Proba {
    /// The estimator has none.
    None,
    /// A sigmoid each, divided by their sum when there are more than two classes.
    Sigmoid,
    /// Softmax over the scores; two classes have scores -d and d.
    Softmax,
    /// SGD's modified Huber loss.
    ModifiedHuber,
}
