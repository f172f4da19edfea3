//! What all transformers have in common.

use std::fmt::Debug;

use crate::error::ModelError;
use crate::rows::Rows;

/// A fitted transformer. The caller has checked that its rows have the width that it was built for.
pub(crate) trait Transformer: Send + Sync + Debug {
    /// Number of columns of its output.
    fn outputs(&self) -> usize;

    /// scikit-learn's `transform`.
    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError>;

    /// Whether [`Self::invert`] works.
    fn is_invertible(&self) -> bool {
        false
    }

    /// scikit-learn's `inverse_transform`, which only the transformer of a target needs.
    fn invert(&self, _rows: &Rows) -> Result<Rows, ModelError> {
        Err(ModelError::store("this step has no inverse"))
    }
}
