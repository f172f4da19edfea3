//! From the object graph of a pickle to the intermediate form: one extractor for each family of scikit-learn classes.
//!
//! Only fitted attributes are read, by name and depending on the version of scikit-learn. Random states, loss objects, optimizers and
//! search results are never looked at.
//!
//! A pipeline, a search or an ensemble contains estimators of any class, so extractors and [`dispatch`] call each other. That circle is
//! in the nature of the classes; every other import goes one way.

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
