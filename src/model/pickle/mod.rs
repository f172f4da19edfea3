//! Reads Python pickles and joblib files without Python and without trust.
//!
//! Layers, each knowing nothing of the next: [`unpack`] undoes compression, [`machine`] runs the opcodes over inert nodes,
//! [`numpy`] reads arrays out of them. What a scikit-learn class means is the business of `model::sklearn`.

mod allowed;
mod arena;
mod cursor;
mod joblib;
mod machine;
pub(in crate::model) mod numpy;
mod text;
pub(in crate::model) mod unpack;

#[cfg(test)]
mod tests;

pub(in crate::model) use allowed::is_allowed;
pub(in crate::model) use arena::{Global, Graph, Id, Node};

use super::ModelError;

/// Runs the pickle in `input`, already uncompressed. Building the graph is safe for any bytes; who goes on to read a model
/// from it calls [`screen`] first.
pub(in crate::model) fn read(input: &[u8]) -> Result<Graph<'_>, ModelError> {
    machine::run(input)
}

/// Refuses a graph that names anything a model has no use for.
pub(in crate::model) fn screen(graph: &Graph<'_>) -> Result<(), ModelError> {
    match graph.globals().iter().find(|global| !is_allowed(global)) {
        Some(global) => Err(ModelError::Forbidden {
            global: global.to_string(),
        }),
        None => Ok(()),
    }
}
