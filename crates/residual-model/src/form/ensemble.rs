//! Estimators that are made of other estimators.

use serde::{Deserialize, Serialize};

use super::{Form, Isotonic, Step};
use crate::labels::Labels;
use crate::tensors::Key;

/// The mean, the vote or the mean probability of the members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Average {
    pub(crate) members: Vec<Member>,
    pub(crate) weights: Option<Key>,
    #[serde(rename = "by")]
    pub(crate) averaging: Averaging,
    pub(crate) classes: Option<Labels>,
}

/// One of several estimators; without a list of columns it sees all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) form: Form,
}

/// What is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Averaging {
    /// The targets.
    Mean,
    /// The probabilities; a member without them gives 1 to its label.
    Proba,
    /// The labels: the one most members give.
    Vote,
}

/// Members whose answers are the columns of the final estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stacking {
    pub(crate) members: Vec<Form>,
    pub(crate) methods: Vec<StackMethod>,
    /// Whether the columns of the input follow those of the answers.
    pub(crate) passthrough: bool,
    #[serde(rename = "last")]
    pub(crate) final_estimator: Box<Form>,
    pub(crate) classes: Option<Labels>,
}

/// What a stacked member is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StackMethod {
    Predict,
    PredictProba,
    DecisionFunction,
}

/// The weighted median of the members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WeightedMedian {
    pub(crate) members: Vec<Form>,
    pub(crate) weights: Key,
}

/// `AdaBoost`: weighted votes, or log-probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdaBoost {
    pub(crate) members: Vec<Form>,
    pub(crate) weights: Key,
    /// Whether log-probabilities are added, as SAMME.R does.
    #[serde(rename = "real")]
    pub(crate) samme_r: bool,
    /// Whether a vote for one class counts against the others.
    #[serde(rename = "penalty")]
    pub(crate) negative_votes: bool,
    pub(crate) classes: Labels,
}

/// Scores of classifiers through calibrators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibrated {
    pub(crate) members: Vec<CalibratedMember>,
    pub(crate) classes: Labels,
}

/// A classifier and its calibrators: one a class, or one for two classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalibratedMember {
    pub(crate) form: Form,
    pub(crate) calibrators: Vec<Calibrator>,
}

/// From a score to a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Calibrator {
    /// `1 / (1 + exp(a * score + b))`.
    Sigmoid {
        ab: Key,
    },
    Isotonic(Isotonic),
}

/// One classifier for each class against all others, or one for two classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneVsRest {
    pub(crate) members: Vec<Form>,
    pub(crate) classes: Labels,
}

/// Transformers, then an estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    pub(crate) steps: Vec<Step>,
    #[serde(rename = "last")]
    pub(crate) final_estimator: Box<Form>,
}

/// The inverse of `transformer`, applied to the predictions of `regressor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransformedTarget {
    pub(crate) regressor: Box<Form>,
    #[serde(rename = "target")]
    pub(crate) transformer: Step,
}
