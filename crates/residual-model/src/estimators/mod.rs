//! The arithmetic: estimators built from the intermediate form.
//!
//! Everything in a form is validated here, because it may come from a file that anyone could have written: sizes, indices, and that
//! the parts fit each other. What has been built answers any row of its width without a panic.

mod build;
mod calibrated;
mod compose;
mod constant;
mod ensemble;
mod estimator;
mod forest;
mod kernel;
mod linear;
mod neighbors;
mod network;
mod proba;
mod quadratic;
mod trees;

pub(crate) use build::build;
pub(crate) use estimator::Estimator;
