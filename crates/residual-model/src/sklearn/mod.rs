//! From the object graph of a pickle to the intermediate form: one extractor a family of scikit-learn classes.
//!
//! Only fitted attributes are read, by name and with the version in hand; random states, loss objects, optimizers and search
//! results are never looked at.

mod bayes;
mod boosting;
mod compose;
mod dispatch;
mod dummy;
mod encode;
mod ensemble;
mod error;
mod features;
mod fitted;
mod kernel;
mod linear;
mod neighbors;
mod network;
mod preprocess;
mod select;
mod supported;
mod tree_arrays;
mod trees;

pub(crate) use dispatch::extract;
