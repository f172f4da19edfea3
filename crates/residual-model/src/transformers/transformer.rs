//! What every transformer can do.

use std::fmt::Debug;

use crate::error::ModelError;
use crate::rows::Rows;

/// A fitted step. Its input has the width it was built for; the caller has checked that.
pub(crate) trait Transformer: Send + Sync + Debug {
    /// Columns it gives.
    fn outputs(&self) -> usize;

    /// Forward.
    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError>;

    /// Whether [`Self::invert`] works.
    fn is_invertible(&self) -> bool {
        false
    }

    /// Backward; needed only for targets.
    fn invert(&self, _rows: &Rows) -> Result<Rows, ModelError> {
        Err(ModelError::store("this step has no inverse"))
    }
}
