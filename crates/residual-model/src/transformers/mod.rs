//! Steps of a pipeline: rows in, rows out, built and validated from the intermediate form.

mod build;
mod columns;
mod encode;
mod impute;
mod normal;
mod power;
mod project;
mod quantile;
mod scale;

use std::fmt::Debug;

use super::{ModelError, Rows};

pub(super) use build::build;

/// A fitted step. Its input has the width it was built for; the caller has checked that.
pub(super) trait Transformer: Send + Sync + Debug {
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
