//! Transformers: what turns rows into rows before an estimator sees them.

use serde::{Deserialize, Serialize};

use crate::tensors::Key;

/// A transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Changes nothing.
    Passthrough {},
    Scale(Scale),
    #[serde(rename = "stretch")]
    MinMax(MinMax),
    Normalize(Normalize),
    Binarize(Binarize),
    Polynomial(Polynomial),
    Power(Power),
    Quantile(Quantile),
    Bins(Bins),
    Project(Project),
    Select(Select),
    Impute(Impute),
    OneHot(OneHot),
    Ordinal(Ordinal),
    Columns(Columns),
    Chain(Chain),
    Function(Elementwise),
}

/// `(x - center) / scale`: a division, because `x * (1 / scale)` may differ in the last bit and take another branch of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    pub(crate) center: Option<Key>,
    pub(crate) scale: Option<Key>,
}

/// `x * scale + offset`, then held between the two bounds of `clip`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MinMax {
    pub(crate) scale: Key,
    pub(crate) offset: Key,
    pub(crate) clip: Option<(f64, f64)>,
}

/// Each row divided by its norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Normalize {
    pub(crate) norm: Norm,
}

/// How the length of a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Norm {
    L1,
    L2,
    Max,
}

/// 1 above the threshold, else 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binarize {
    pub(crate) threshold: f64,
}

/// Products of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Polynomial {
    /// The factors of all products, one product after the other.
    pub(crate) columns: Key,
    /// Number of factors of each product.
    pub(crate) lengths: Key,
}

/// Yeo-Johnson or Box-Cox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Power {
    /// The exponent of each column.
    pub(crate) lambdas: Key,
    pub(crate) box_cox: bool,
}

/// Ranks among the quantiles seen when fitting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quantile {
    /// `[references, columns]`.
    pub(crate) quantiles: Key,
    pub(crate) references: Key,
    /// Whether the output is normally distributed, and not uniformly.
    pub(crate) normal: bool,
}

/// Index of the bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bins {
    /// The inner edges of all columns, one column after the other.
    pub(crate) edges: Key,
    /// Number of inner edges of each column.
    pub(crate) lengths: Key,
    /// Whether a value just below an edge counts as on it, as before scikit-learn 1.1.
    pub(crate) digitize: bool,
}

/// `(x - mean) @ components.T / scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Project {
    pub(crate) mean: Option<Key>,
    /// `[outputs, columns]`.
    pub(crate) components: Key,
    pub(crate) scale: Option<Key>,
}

/// Only these columns, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Select {
    pub(crate) columns: Vec<usize>,
}

/// Missing values replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Impute {
    /// What replaces a missing value of each column.
    pub(crate) statistics: Key,
    /// The value that stands for a missing one; `None` for NaN.
    #[serde(rename = "missing")]
    pub(crate) missing_values: Option<f64>,
    /// Columns that remain.
    pub(crate) kept: Vec<usize>,
    /// Columns for each of which a column of 0 and 1 follows: whether its value was missing.
    #[serde(rename = "flagged")]
    pub(crate) indicators: Vec<usize>,
}

/// A column of 0 and 1 for each category but the dropped one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneHot {
    /// Of each column.
    pub(crate) categories: Vec<Key>,
    /// Index of the dropped category of each column.
    pub(crate) dropped: Vec<Option<usize>>,
    pub(crate) ignore_unknown: bool,
}

/// Index of the category, or its code where several categories share one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ordinal {
    /// Of each column.
    pub(crate) categories: Vec<Key>,
    /// Of each category of each column.
    pub(crate) codes: Option<Vec<Key>>,
    /// For each column the code of an unknown category, which may be NaN; without it one is an error.
    pub(crate) unknown: Option<Key>,
    /// The code of the category NaN, one for all columns.
    pub(crate) missing: Option<Key>,
}

/// Parts side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Columns {
    pub(crate) parts: Vec<Part>,
}

/// One part of [`Columns`]; without a list of columns it sees all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) step: Step,
    /// What its output is multiplied by.
    pub(crate) weight: Option<f64>,
}

/// Transformers one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chain {
    pub(crate) steps: Vec<Step>,
}

/// A function of numpy on every value, and its inverse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Elementwise {
    pub(crate) function: Option<Function>,
    pub(crate) inverse: Option<Function>,
}

/// numpy's name of an elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Function {
    Absolute,
    Cbrt,
    Cos,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log10,
    Log1p,
    Log2,
    Negative,
    Reciprocal,
    Sin,
    Sqrt,
    Square,
    Tanh,
}
