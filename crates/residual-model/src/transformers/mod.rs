//! Transformers: rows in, rows out, built and validated from the intermediate form.
//!
//! As in `estimators`, everything in a form is checked when it is built.

mod build;
mod columns;
mod encode;
mod impute;
mod normal;
mod power;
mod project;
mod quantile;
mod scale;
mod transformer;

pub(crate) use build::{build, build_chain};
pub(crate) use columns::Chain;
pub(crate) use transformer::Transformer;
