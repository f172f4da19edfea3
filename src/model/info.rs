//! What a model says about itself, loaded or only looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Names of a classifier's classes, in the order of its probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// Integers, floats or booleans (0 and 1): a prediction is the label itself.
    Numbers(Vec<f64>),
    /// Text: a prediction is the index into these.
    Text(Vec<String>),
}

impl Labels {
    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    /// Whether there is no class at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number a prediction of class `index` is.
    #[must_use]
    pub fn value(&self, index: usize) -> f64 {
        match self {
            Self::Numbers(numbers) => numbers.get(index).copied().unwrap_or(f64::NAN),
            #[expect(clippy::cast_precision_loss, reason = "an index far below 2^53")]
            Self::Text(_) => index as f64,
        }
    }

    /// The class a prediction is.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "labels are whole or exactly stored")]
    pub fn index(&self, value: f64) -> Option<usize> {
        (0..self.len()).find(|&index| {
            self.value(index).to_bits() == value.to_bits() || self.value(index) == value
        })
    }

    /// Class `index` in words.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        match self {
            Self::Numbers(numbers) => numbers
                .get(index)
                .map_or_else(String::new, ToString::to_string),
            Self::Text(texts) => texts.get(index).cloned().unwrap_or_default(),
        }
    }
}

/// What a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A number on the target's scale.
    Regression,
    /// A label; see [`Labels`].
    Classification,
    /// 1 for an inlier, -1 for an outlier.
    OutlierDetection,
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Regression => "regression",
            Self::Classification => "classification",
            Self::OutlierDetection => "outlier detection",
        })
    }
}

/// What a loaded model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Class of the outermost estimator, like `sklearn.pipeline.Pipeline`.
    pub class: String,
    /// Version of scikit-learn that fitted it.
    pub library_version: String,
    /// Column names it was fitted on; `None` when it was fitted on a bare array.
    pub feature_names: Option<Vec<String>>,
    /// Columns it was fitted on.
    pub n_features: usize,
    /// Shape of every tensor, by its path inside the pickle.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// SHA-256 of the pickle, in hexadecimal.
    pub source_sha256: String,
    /// Format number of the converted form.
    pub format: u32,
    /// What a prediction is.
    pub task: Task,
    /// A classifier's labels.
    pub classes: Option<Labels>,
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "class: {}", self.class)?;
        writeln!(formatter, "library: scikit-learn {}", self.library_version)?;
        writeln!(formatter, "task: {}", self.task)?;
        if let Some(classes) = &self.classes {
            let names: Vec<_> = (0..classes.len())
                .map(|index| classes.name(index))
                .collect();
            writeln!(formatter, "classes: {}", names.join(", "))?;
        }
        writeln!(formatter, "features: {}", self.n_features)?;
        if let Some(names) = &self.feature_names {
            writeln!(formatter, "feature names: {}", names.join(", "))?;
        }
        writeln!(formatter, "source sha256: {}", self.source_sha256)?;
        writeln!(formatter, "format: {}", self.format)?;
        for (name, shape) in &self.shapes {
            writeln!(formatter, "tensor {name}: {shape:?}")?;
        }
        Ok(())
    }
}
