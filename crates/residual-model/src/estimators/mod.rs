//! The arithmetic: estimators built from the intermediate form.
//!
//! Everything about a form is validated here, because it may come from a file anyone could have written.

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
