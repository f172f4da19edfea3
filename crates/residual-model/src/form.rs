//! The intermediate form: what a model computes, free of any library version.
//!
//! The extractors write it from a pickle, the safetensors file keeps it as JSON beside the tensors, and the estimators are
//! built from it, so a pickle and its converted file run the very same arithmetic. Numbers stand in [`Tensors`](crate::tensors::Tensors); here are
//! only names and small integers. A change of meaning raises [`FORMAT`].

use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::tensors::Key;

/// Format number of the form below.
pub(crate) const FORMAT: u32 = 1;

/// An estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Form {
    /// `link(X @ coef.T + intercept)` with one target.
    Linear {
        coef: Key,
        intercept: Key,
        link: Link,
    },
    /// The same for every row: a target, or a probability a class.
    Constant {
        values: Key,
        classes: Option<Labels>,
    },
    /// The mean of trees; a single tree is a forest of one. Leaves hold a target, or a probability a class.
    Forest {
        trees: Trees,
        classes: Option<Labels>,
    },
    /// A start, then trees whose leaves are added; tree `i` adds to output `i % outputs`.
    Boosting {
        trees: Trees,
        start: Start,
        rate: Key,
        output: Output,
        classes: Option<Labels>,
    },
    /// Leaves hold path lengths; short paths are outliers.
    Isolation {
        trees: Trees,
        normaliser: Key,
        offset: Key,
    },
    /// Dense layers, `[outputs, inputs]` and one bias an output each.
    Network {
        layers: Vec<(Key, Key)>,
        hidden: Activation,
        output: Activation,
        classes: Option<Labels>,
    },
    /// `kernel(x, support) @ dual + intercept`, or whether that is at least 0.
    Kernel {
        support: Key,
        dual: Key,
        intercept: Key,
        kernel: Kernel,
        outliers: bool,
    },
    /// One-against-one support vectors: `counts` support vectors a class, `dual` `[classes - 1, vectors]`.
    KernelClassifier {
        support: Key,
        dual: Key,
        intercept: Key,
        counts: Key,
        kernel: Kernel,
        classes: Labels,
        break_ties: bool,
        platt: Option<(Key, Key)>,
    },
    /// The targets of the nearest of `points`.
    Neighbors {
        points: Key,
        targets: Key,
        count: usize,
        metric: Metric,
        by_distance: bool,
        classes: Option<Labels>,
    },
    /// The mean, the vote or the mean probability of members.
    Average {
        members: Vec<Member>,
        weights: Option<Key>,
        by: Average,
        classes: Option<Labels>,
    },
    /// Members whose answers are the columns of a last estimator; with `passthrough` the input follows.
    Stacking {
        members: Vec<Form>,
        methods: Vec<Method>,
        passthrough: bool,
        last: Box<Form>,
        classes: Option<Labels>,
    },
    /// The weighted median of members.
    Median { members: Vec<Form>, weights: Key },
    /// `AdaBoost`: `real` adds log-probabilities, else votes; `penalty` makes a vote against count.
    AdaBoost {
        members: Vec<Form>,
        weights: Key,
        real: bool,
        penalty: bool,
        classes: Labels,
    },
    /// Scores of classifiers through calibrators, one a class; two classes share one.
    Calibrated {
        members: Vec<CalibratedMember>,
        classes: Labels,
    },
    /// One classifier a class against all others; two classes share one.
    OneVsRest { members: Vec<Form>, classes: Labels },
    /// `offset - |projection (x - mean)|^2 / 2` a class; `spread` divides squares by variances instead of projecting.
    Quadratic {
        means: Key,
        spread: Option<Key>,
        projections: Vec<Key>,
        offsets: Key,
        classes: Labels,
        decides: bool,
    },
    /// Piecewise linear in one column.
    Isotonic { x: Key, y: Key, outside: Outside },
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

/// Binary trees, one after the other; node numbers count from the first node of their tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trees {
    /// Number of nodes of each tree.
    pub(crate) sizes: Key,
    /// Left child, -1 for a leaf.
    pub(crate) left: Key,
    pub(crate) right: Key,
    pub(crate) feature: Key,
    /// A value at or below goes left.
    pub(crate) threshold: Key,
    /// Bit 0: a missing value goes left. Bit 1: the node tests categories.
    pub(crate) flags: Key,
    /// `[nodes, outputs]`.
    pub(crate) values: Key,
    /// Whether inputs are rounded to f32 first, as when the trees were fitted.
    pub(crate) single: bool,
    /// Whether NaN is a missing value and not an error.
    pub(crate) missing: bool,
    pub(crate) categories: Option<Categories>,
}

/// Sets of categories 0 to 255, eight words of 32 bits each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Categories {
    /// Row of `left` for each node, -1 for none.
    pub(crate) row: Key,
    /// Categories that go left.
    pub(crate) left: Key,
    /// Categories known, a row a feature; others count as missing.
    pub(crate) known: Key,
}

/// Where boosting starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Start {
    /// The same for every row: a number an output.
    Constant(Key),
    /// What another estimator predicts.
    Regressor(Box<Form>),
    /// From the probabilities of another estimator, clipped by `clip`.
    Classifier {
        form: Box<Form>,
        clip: Key,
        link: StartLink,
    },
}

/// From a probability to a raw score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartLink {
    /// `log(p / (1 - p))`, of the second class.
    Logit,
    /// Half of it.
    HalfLogit,
    /// `log(p)` a class.
    Log,
    /// `log(p)` less its mean over the classes.
    CenteredLog,
}

/// One of several estimators; no list of columns means all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) form: Form,
}

/// How members are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Average {
    /// Of the targets.
    Mean,
    /// Of the probabilities; a member without them gives 1 to its label.
    Proba,
    /// The label most members give.
    Vote,
}

/// What a stacked member is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Predict,
    PredictProba,
    DecisionFunction,
}

/// A classifier and its calibrators.
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
    Isotonic {
        x: Key,
        y: Key,
        outside: Outside,
    },
}

/// What a value outside the known range gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outside {
    Clip,
    Nan,
    Refuse,
}

/// Function of a neuron, or of the layer for softmax.
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

/// Similarity of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kernel {
    Linear {},
    Rbf { gamma: f64 },
    Poly { gamma: f64, coef0: f64, degree: f64 },
    Sigmoid { gamma: f64, coef0: f64 },
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

/// From raw scores to the prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Output {
    Identity,
    Exp,
    Sigmoid,
    /// The sigmoid of twice the score.
    DoubleSigmoid,
    Softmax,
}

/// A step that turns rows into rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    Passthrough {},
    /// `(x - center) / scale`: a division, because `x * (1 / scale)` may end one bit off and flip a branch of a tree.
    Scale {
        center: Option<Key>,
        scale: Option<Key>,
    },
    /// `x * scale + offset`, then held between the bounds.
    Stretch {
        scale: Key,
        offset: Key,
        clip: Option<(f64, f64)>,
    },
    /// Each row divided by its norm.
    Normalize {
        norm: Norm,
    },
    /// 1 above the threshold, else 0.
    Binarize {
        threshold: f64,
    },
    /// Products of columns: `columns` one after the other, `lengths` of them each.
    Polynomial {
        columns: Key,
        lengths: Key,
    },
    /// Yeo-Johnson or Box-Cox with an exponent a column.
    Power {
        lambdas: Key,
        box_cox: bool,
    },
    /// Ranks among `quantiles` `[references, columns]`, uniform or normal.
    Quantile {
        quantiles: Key,
        references: Key,
        normal: bool,
    },
    /// Index of the bin between the inner `edges`; `lengths` inner edges a column.
    Bins {
        edges: Key,
        lengths: Key,
        digitize: bool,
    },
    /// `(x - mean) @ components.T / scale`.
    Project {
        mean: Option<Key>,
        components: Key,
        scale: Option<Key>,
    },
    /// Only these columns, in this order.
    Select {
        columns: Vec<usize>,
    },
    /// Missing values replaced by `statistics`; `None` stands for NaN. Columns in `kept` remain, flags of `flagged` follow.
    Impute {
        statistics: Key,
        missing: Option<f64>,
        kept: Vec<usize>,
        flagged: Vec<usize>,
    },
    /// A column of 0 and 1 for each category but the dropped one.
    OneHot {
        categories: Vec<Key>,
        dropped: Vec<Option<usize>>,
        ignore_unknown: bool,
    },
    /// Index of the category, or its code when several categories share one. `unknown` holds a value a column, which may be NaN;
    /// `missing` one for the category NaN.
    Ordinal {
        categories: Vec<Key>,
        codes: Option<Vec<Key>>,
        unknown: Option<Key>,
        missing: Option<Key>,
    },
    /// Parts side by side, each of some columns.
    Columns {
        parts: Vec<Part>,
    },
    /// One after the other.
    Chain {
        steps: Vec<Step>,
    },
    /// An elementwise function of numpy, and its inverse.
    Function {
        function: Option<Function>,
        inverse: Option<Function>,
    },
}

/// One part of [`Step::Columns`]; no list of columns means all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) step: Step,
    pub(crate) weight: Option<f64>,
}

/// How the length of a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Norm {
    L1,
    L2,
    Max,
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

/// From the linear predictor to the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Link {
    Identity,
    Exp,
}

/// From scores to probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proba {
    /// The estimator has none.
    None,
    /// A sigmoid each, divided by their sum when there are more than two classes.
    Sigmoid,
    /// Softmax over the scores; two classes have scores -d and d.
    Softmax,
    /// SGD's modified Huber loss.
    ModifiedHuber,
}
