//! What a model says about itself, loaded or only looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

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
