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
    /// Steps, then an estimator.
    Pipeline { steps: Vec<Step>, last: Box<Form> },
    /// The inverse of `target` applied to the predictions of `regressor`.
    TransformedTarget { regressor: Box<Form>, target: Step },
    /// One score a class, or one for two classes.
    LinearClassifier {
        coef: Key,
        intercept: Key,
        classes: Labels,
        proba: Proba,
    },
}

/// A step that turns rows into rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    Passthrough {},
    /// `(x - center) / scale`: a division, because `x * (1 / scale)` may end one bit off and flip a branch of a tree.
    Scale { center: Option<Key>, scale: Option<Key> },
    /// `x * scale + offset`, then held between the bounds.
    Stretch { scale: Key, offset: Key, clip: Option<(f64, f64)> },
    /// Each row divided by its norm.
    Normalize { norm: Norm },
    /// 1 above the threshold, else 0.
    Binarize { threshold: f64 },
    /// Products of columns: `columns` one after the other, `lengths` of them each.
    Polynomial { columns: Key, lengths: Key },
    /// Yeo-Johnson or Box-Cox with an exponent a column.
    Power { lambdas: Key, box_cox: bool },
    /// Ranks among `quantiles` `[references, columns]`, uniform or normal.
    Quantile { quantiles: Key, references: Key, normal: bool },
    /// Index of the bin between the inner `edges`; `lengths` inner edges a column.
    Bins { edges: Key, lengths: Key, digitize: bool },
    /// `(x - mean) @ components.T / scale`.
    Project { mean: Option<Key>, components: Key, scale: Option<Key> },
    /// Only these columns, in this order.
    Select { columns: Vec<usize> },
    /// Missing values replaced by `statistics`; `None` stands for NaN. Columns in `kept` remain, flags of `flagged` follow.
    Impute { statistics: Key, missing: Option<f64>, kept: Vec<usize>, flagged: Vec<usize> },
    /// A column of 0 and 1 for each category but the dropped one.
    OneHot { categories: Vec<Key>, dropped: Vec<Option<usize>>, ignore_unknown: bool },
    /// Index of the category; `unknown` and `missing` are tensors of one number, which may be NaN.
    Ordinal { categories: Vec<Key>, unknown: Option<Key>, missing: Key },
    /// Parts side by side, each of some columns.
    Columns { parts: Vec<Part> },
    /// One after the other.
    Chain { steps: Vec<Step> },
    /// An elementwise function of numpy, and its inverse.
    Function { function: Option<Function>, inverse: Option<Function> },
}

/// One part of [`Step::Columns`]; no list of columns means all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) columns: Option<Vec<usize>>,
    pub(super) step: Step,
    pub(super) weight: Option<f64>,
}

/// How the length of a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Norm {
    L1,
    L2,
    Max,
}

/// numpy's name of an elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Function {
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
