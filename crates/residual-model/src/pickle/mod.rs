//! Reads Python pickles and joblib files without Python, and without executing anything.
//!
//! Three layers, none of which knows the next: [`decompress`] undoes compression, [`machine`] turns the opcodes into a graph of inert
//! nodes, [`numpy`] reads arrays from it. What a class of scikit-learn means is the business of `sklearn`.

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

/// Runs the pickle in `input`, which is already decompressed. Building the graph is safe for any bytes; [`check_globals`] is called
/// before a model is read from it.
pub(crate) fn read(input: &[u8]) -> Result<Graph<'_>, ModelError> {
    machine::run(input)
}

/// Other libraries whose models people save, and what to do about them.
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

/// Refuses a graph that names anything that no model needs.
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
