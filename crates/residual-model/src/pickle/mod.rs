//! Reads Python pickles and joblib files without Python and without trust.
//!
//! Layers, each knowing nothing of the next: [`decompress`] undoes compression, [`machine`] runs the opcodes over inert nodes,
//! [`numpy`] reads arrays out of them. What a scikit-learn class means is the business of `model::sklearn`.

mod allowlist;
mod cursor;
pub(crate) mod decompress;
mod dtype;
mod error;
mod escapes;
mod graph;
mod joblib;
mod machine;
pub(crate) mod numpy;
mod opcode;
mod shape;
mod stream;

#[cfg(test)]
mod tests;

pub(crate) use allowlist::is_allowed;
pub(crate) use error::ArrayError;
pub(crate) use graph::{Global, Graph, Node, NodeId};

use crate::error::ModelError;

/// Runs the pickle in `input`, already uncompressed. Building the graph is safe for any bytes; who goes on to read a model
/// from it calls [`check_globals`] first.
pub(crate) fn read(input: &[u8]) -> Result<Graph<'_>, ModelError> {
    machine::run(input)
}

/// Libraries people do save models of, and what to do about it.
const KNOWN: &[(&str, &str)] = &[
    (
        "__main__",
        "it is defined in the script that saved the model, so its code is not in the file",
    ),
    (
        "xgboost",
        "XGBoost keeps its own format inside; only scikit-learn's own estimators are read",
    ),
    (
        "lightgbm",
        "LightGBM keeps its own format inside; only scikit-learn's own estimators are read",
    ),
    (
        "catboost",
        "CatBoost keeps its own format inside; only scikit-learn's own estimators are read",
    ),
    (
        "torch",
        "PyTorch models are not read; only scikit-learn's own estimators are",
    ),
    (
        "keras",
        "Keras models are not read; only scikit-learn's own estimators are",
    ),
    (
        "tensorflow",
        "TensorFlow models are not read; only scikit-learn's own estimators are",
    ),
    (
        "statsmodels",
        "statsmodels results are not read; only scikit-learn's own estimators are",
    ),
    (
        "imblearn",
        "imbalanced-learn is not read; save the fitted scikit-learn part alone",
    ),
    (
        "category_encoders",
        "category_encoders is not read; use scikit-learn's encoders",
    ),
    (
        "cloudpickle",
        "cloudpickle carries Python code; save with pickle or joblib",
    ),
    (
        "dill",
        "dill carries Python code; save with pickle or joblib",
    ),
];

/// Refuses a graph that names anything a model has no use for.
pub(crate) fn check_globals(graph: &Graph<'_>) -> Result<(), ModelError> {
    let Some(global) = graph.globals().iter().find(|global| !is_allowed(global)) else {
        return Ok(());
    };
    let root = global.module.split('.').next().unwrap_or_default();
    match KNOWN.iter().find(|(library, _)| *library == root) {
        Some((_, reason)) => Err(ModelError::Foreign {
            global: global.to_string(),
            reason,
        }),
        None => Err(ModelError::Forbidden {
            global: global.to_string(),
        }),
    }
}
