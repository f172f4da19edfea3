//! Trees, and the estimators that are made of them.

use serde::{Deserialize, Serialize};

use super::Form;
use crate::labels::Labels;
use crate::tensors::Key;

/// Bits of [`Trees::flags`], under the names that scikit-learn's nodes have for them.
pub(crate) mod node_flags {
    /// A missing value goes left.
    pub(crate) const MISSING_GO_TO_LEFT: u8 = 1 << 0;
    /// The node tests whether a category is in a bitset, and not a threshold.
    pub(crate) const IS_CATEGORICAL: u8 = 1 << 1;
}

/// Words of 32 bits in a bitset of the categories 0 to 255.
pub(crate) const BITSET_WORDS: usize = 8;

/// Binary trees, one after the other; node numbers count from the first node of their tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trees {
    /// Number of nodes of each tree.
    pub(crate) sizes: Key,
    /// Left child, -1 for a leaf.
    pub(crate) left: Key,
    /// Right child.
    pub(crate) right: Key,
    /// The column that a node tests.
    pub(crate) feature: Key,
    /// A value at or below it goes left.
    pub(crate) threshold: Key,
    /// See [`node_flags`].
    pub(crate) flags: Key,
    /// `[nodes, outputs]`.
    pub(crate) values: Key,
    /// Whether inputs are rounded to f32 first, as when the trees were fitted.
    #[serde(rename = "single")]
    pub(crate) f32_inputs: bool,
    /// Whether NaN is a missing value and not an error.
    #[serde(rename = "missing")]
    pub(crate) allow_nan: bool,
    pub(crate) categories: Option<CategoryBitsets>,
}

/// Bitsets of the categories 0 to 255, [`BITSET_WORDS`] words each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CategoryBitsets {
    /// For each node its bitset in `left`, -1 for none.
    #[serde(rename = "row")]
    pub(crate) bitset_idx: Key,
    /// Categories that go left.
    pub(crate) left: Key,
    /// A bitset a feature: categories seen when fitting. Others count as missing.
    pub(crate) known: Key,
}

/// The mean of trees; a single tree is a forest of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forest {
    /// Leaves hold a target, or a probability for each class.
    pub(crate) trees: Trees,
    pub(crate) classes: Option<Labels>,
}

/// Initial scores, then trees whose leaves are added; tree `i` adds to output `i % outputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Boosting {
    pub(crate) trees: Trees,
    #[serde(rename = "start")]
    pub(crate) init: Init,
    #[serde(rename = "rate")]
    pub(crate) learning_rate: Key,
    pub(crate) output: Output,
    pub(crate) classes: Option<Labels>,
}

/// What boosting adds its trees to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Init {
    /// The same for every row: a number for each output.
    Constant(Key),
    /// What another estimator predicts.
    Regressor(Box<Form>),
    /// From the probabilities of another estimator, held between `clip` and `1 - clip`.
    Classifier {
        form: Box<Form>,
        clip: Key,
        link: InitLink,
    },
}

/// From a probability to a raw score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InitLink {
    /// `log(p / (1 - p))` of the second class.
    Logit,
    /// Half of [`Self::Logit`].
    HalfLogit,
    /// `log(p)` of each class.
    Log,
    /// `log(p)` of each class less their mean.
    CenteredLog,
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

/// Leaves hold path lengths; rows with short paths are outliers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IsolationForest {
    pub(crate) trees: Trees,
    /// The mean path length of a tree, times the number of trees.
    #[serde(rename = "normaliser")]
    pub(crate) normalizer: Key,
    pub(crate) offset: Key,
}
