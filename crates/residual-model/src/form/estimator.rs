//! Estimators that contain no other estimator and no trees.

use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::tensors::Key;

/// `link(X @ coef.T + intercept)` with one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Linear {
    /// `[1, features]`.
    pub(crate) coef: Key,
    /// `[1]`.
    pub(crate) intercept: Key,
    pub(crate) link: Link,
}

/// From the linear predictor to the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Link {
    Identity,
    Exp,
}

/// One score a class, or one score for two classes: `X @ coef.T + intercept`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinearClassifier {
    /// `[scores, features]`.
    pub(crate) coef: Key,
    /// `[scores]`.
    pub(crate) intercept: Key,
    pub(crate) classes: Labels,
    pub(crate) proba: Proba,
}

/// From scores to probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proba {
    /// The estimator has no probabilities.
    None,
    /// A sigmoid of each score, divided by their sum when there are more than two classes.
    Sigmoid,
    /// Softmax over the scores; two classes have the scores -d and d.
    Softmax,
    /// SGD's modified Huber loss.
    ModifiedHuber,
}

/// The same answer for every row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constant {
    /// The target, or a probability for each class.
    pub(crate) values: Key,
    pub(crate) classes: Option<Labels>,
}

/// A multilayer perceptron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// Weights `[outputs, inputs]` and biases `[outputs]` of each layer.
    pub(crate) layers: Vec<(Key, Key)>,
    pub(crate) hidden: Activation,
    pub(crate) output: Activation,
    pub(crate) classes: Option<Labels>,
}

/// Function of a neuron; softmax is one of the whole layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    Identity,
    Relu,
    Tanh,
    Logistic,
    Exp,
    Softmax,
}

/// `kernel(x, support_vectors) @ dual_coef + intercept`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KernelRegressor {
    /// `[vectors, features]`.
    #[serde(rename = "support")]
    pub(crate) support_vectors: Key,
    /// `[1, vectors]`.
    #[serde(rename = "dual")]
    pub(crate) dual_coef: Key,
    pub(crate) intercept: Key,
    pub(crate) kernel: Kernel,
    /// Whether only the sign of the result counts: 1 for an inlier, -1 for an outlier.
    #[serde(rename = "outliers")]
    pub(crate) detects_outliers: bool,
}

/// Support vectors, one classifier for each pair of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KernelClassifier {
    /// `[vectors, features]`, those of one class after those of the class before.
    #[serde(rename = "support")]
    pub(crate) support_vectors: Key,
    /// `[classes - 1, vectors]`.
    #[serde(rename = "dual")]
    pub(crate) dual_coef: Key,
    /// One for each pair.
    pub(crate) intercept: Key,
    /// Number of support vectors of each class.
    #[serde(rename = "counts")]
    pub(crate) n_support: Key,
    pub(crate) kernel: Kernel,
    pub(crate) classes: Labels,
    pub(crate) break_ties: bool,
    /// Coefficients a and b of Platt's sigmoid for each pair, where the model has probabilities.
    pub(crate) platt: Option<(Key, Key)>,
}

/// Similarity of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kernel {
    Linear {},
    Rbf { gamma: f64 },
    Poly { gamma: f64, coef0: f64, degree: f64 },
    Sigmoid { gamma: f64, coef0: f64 },
}

/// The targets of the nearest of `points`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neighbors {
    /// `[points, features]`.
    pub(crate) points: Key,
    /// For each point a number, or the index of its class.
    pub(crate) targets: Key,
    /// `n_neighbors` of scikit-learn.
    pub(crate) count: usize,
    pub(crate) metric: Metric,
    /// Whether nearer points count more.
    #[serde(rename = "by_distance")]
    pub(crate) weights_by_distance: bool,
    pub(crate) classes: Option<Labels>,
}

/// Distance of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Metric {
    Euclidean {},
    Manhattan {},
    Chebyshev {},
    Minkowski { p: f64 },
}

/// A score for each class: its offset, less half the squared distance of the row from its mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quadratic {
    /// `[classes, features]`.
    pub(crate) means: Key,
    /// `[classes, features]`: squared differences are divided by these, where features are independent.
    #[serde(rename = "spread")]
    pub(crate) variances: Option<Key>,
    /// Without variances: `[rank, features]` for each class, which differences are multiplied by first.
    pub(crate) projections: Vec<Key>,
    /// `[classes]`.
    pub(crate) offsets: Key,
    pub(crate) classes: Labels,
    #[serde(rename = "decides")]
    pub(crate) has_decision_function: bool,
}

/// A curve through points in one column, linear between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Isotonic {
    pub(crate) x: Key,
    pub(crate) y: Key,
    #[serde(rename = "outside")]
    pub(crate) out_of_bounds: OutOfBounds,
}

/// What a value outside the range of the curve gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutOfBounds {
    /// The value at the nearer end.
    Clip,
    /// NaN.
    Nan,
    /// An error.
    #[serde(rename = "refuse")]
    Raise,
}
