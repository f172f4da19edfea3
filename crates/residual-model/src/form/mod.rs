//! The intermediate form: what a model computes, independent of any library and its version.
//!
//! The extractors write it from a pickle, a converted file holds it as JSON beside the tensors, and the estimators are built
//! from it, so a pickle and its converted file run the very same arithmetic. The numbers are in
//! [`Tensors`](crate::tensors::Tensors); here are only their names and small integers.
//!
//! The names in the JSON are a file format: a field that is called differently here keeps its name there by `rename`. A change of
//! meaning raises [`FORMAT`]. A form may come from a file that anyone could have written, so nothing in it is believed before
//! `estimators` and `transformers` have checked it.

mod ensemble;
mod estimator;
mod step;
mod trees;

pub(crate) use ensemble::*;
pub(crate) use estimator::*;
pub(crate) use step::*;
pub(crate) use trees::*;

use serde::{Deserialize, Serialize};

/// Format number of the forms in this module.
pub(crate) const FORMAT: u32 = 1;

/// An estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Form {
    Linear(Linear),
    LinearClassifier(LinearClassifier),
    Constant(Constant),
    Network(Network),
    #[serde(rename = "kernel")]
    KernelRegressor(KernelRegressor),
    KernelClassifier(KernelClassifier),
    Neighbors(Neighbors),
    Quadratic(Quadratic),
    Isotonic(Isotonic),
    Forest(Forest),
    Boosting(Boosting),
    #[serde(rename = "isolation")]
    IsolationForest(IsolationForest),
    Average(Average),
    Stacking(Stacking),
    #[serde(rename = "median")]
    WeightedMedian(WeightedMedian),
    AdaBoost(AdaBoost),
    Calibrated(Calibrated),
    OneVsRest(OneVsRest),
    Pipeline(Pipeline),
    TransformedTarget(TransformedTarget),
}
