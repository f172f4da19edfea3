//! What a model says about itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

/// What the number that a model predicts stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The target's value, in the unit of the target.
    Regression,
    /// A class label; see [`Labels`].
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

/// What a model is. [`Display`](fmt::Display) shows all of it, one fact a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Class of the outermost estimator, like `sklearn.pipeline.Pipeline`.
    pub class: String,
    /// Version of scikit-learn that it was fitted with.
    pub library_version: String,
    /// Names of the columns it was fitted on; `None` when it was fitted on an array without names.
    pub feature_names: Option<Vec<String>>,
    /// Number of columns it was fitted on, which is the number of values in a row.
    pub n_features: usize,
    /// Shape of every tensor, by its path inside the pickle, such as `steps[1].coef_`.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// SHA-256 of the file that was converted or opened, in hexadecimal. A converted file keeps that of its pickle.
    pub source_sha256: String,
    /// Format number of the converted form.
    pub format: u32,
    /// What a prediction is.
    pub task: Task,
    /// The labels of a classifier.
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
