//! The arithmetic: estimators built from the intermediate form.
//!
//! Everything about a form is validated here, because it may come from a file anyone could have written.

mod build;
mod compose;
mod dense;
mod linear;
mod proba;

pub(super) use build::build;
pub(super) use dense::Dense;
