//! What can be wrong with the attributes of a fitted object.

use crate::pickle::ArrayError;

/// An attribute that is missing, or is not what its class has.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttributeError {
    #[error("attribute `{0}` is missing: was the model fitted before it was saved?")]
    NotFitted(String),
    #[error("attribute `{0}` is missing")]
    Missing(String),
    #[error("attribute `{name}` is {found}, not {wanted}")]
    WrongType {
        name: String,
        found: String,
        wanted: &'static str,
    },
    #[error("attribute `{name}` has shape {shape:?}, not {wanted}")]
    WrongShape {
        name: String,
        shape: Vec<usize>,
        wanted: &'static str,
    },
    #[error("attribute `{name}`")]
    Array { name: String, source: ArrayError },
    /// Attributes that do not fit each other, or have a value that is not known.
    #[error("{0}")]
    Inconsistent(String),
}

impl<T: Into<String>> From<T> for AttributeError {
    fn from(problem: T) -> Self {
        Self::Inconsistent(problem.into())
    }
}
