//! From a form to the estimator that computes it.

use super::build_many::{averages, boosts, curves};
use super::compose::{Pipeline, TransformedTarget};
use super::constant::Constant;
use super::estimator::Estimator;
use super::forest::{Boosting, Forest, Isolation, Start};
use super::kernel::{KernelClassifier, KernelRegressor, Support};
use super::linear::{LinearClassifier, LinearRegressor};
use super::neighbors::Neighbors;
use super::network::Network;
use super::trees::Trees;
use crate::dense::Dense;
use crate::error::ModelError;
use crate::form::{self, Form, Output, StartLink};
use crate::labels::Labels;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};
use crate::transformers;

/// One family of forms; `None` when the form is of another.
type Family = fn(&Form, &Tensors, usize) -> Result<Option<Box<dyn Estimator>>, ModelError>;

const FAMILIES: [Family; 7] = [plain, trees, kernels, flows, averages, boosts, curves];

/// Builds and validates an estimator for rows of `width` columns.
pub(crate) fn build(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Box<dyn Estimator>, ModelError> {
    for family in FAMILIES {
        if let Some(estimator) = family(form, tensors, width)? {
            let wanted = estimator.n_features();
            return if wanted == width {
                Ok(estimator)
            } else {
                Err(ModelError::store(format!(
                    "a part of the model wants {wanted} features where there are {width}"
                )))
            };
        }
    }
    Err(ModelError::store("the form of the model is not known"))
}

/// Linear models, networks and constants.
fn plain(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Linear {
            coef,
            intercept,
            link,
        } => Box::new(LinearRegressor {
            dense: single(tensors, coef, intercept)?,
            link: *link,
        }),
        Form::LinearClassifier {
            coef,
            intercept,
            classes,
            proba,
        } => Box::new(LinearClassifier::new(
            Dense::new(tensors, coef, intercept)?,
            classes.clone(),
            *proba,
        )?),
        Form::Constant { values, classes } => {
            let values = tensors.f64s(values)?.to_vec();
            require_outputs(values.len(), classes.as_ref().map_or(1, Labels::len))?;
            Box::new(Constant {
                width,
                values,
                classes: classes.clone(),
            })
        }
        Form::Network {
            layers,
            hidden,
            output,
            classes,
        } => {
            let layers = layers
                .iter()
                .map(|(weight, bias)| Dense::new(tensors, weight, bias))
                .collect::<Result<Vec<_>, _>>()?;
            Box::new(Network::new(layers, *hidden, *output, classes.clone())?)
        }
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

/// What is made of trees.
fn trees(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Forest { trees, classes } => {
            let trees = Trees::new(trees, tensors, width)?;
            require_outputs(trees.outputs(), classes.as_ref().map_or(1, Labels::len))?;
            Box::new(Forest {
                width,
                trees,
                classes: classes.clone(),
            })
        }
        Form::Boosting {
            trees,
            start,
            rate,
            output,
            classes,
        } => boosting(
            trees,
            start,
            tensors.vector(rate, 1)?[0],
            *output,
            classes.as_ref(),
            tensors,
            width,
        )?,
        Form::Isolation {
            trees,
            normaliser,
            offset,
        } => Box::new(Isolation {
            width,
            trees: Trees::new(trees, tensors, width)?,
            normaliser: tensors.vector(normaliser, 1)?[0],
            offset: tensors.vector(offset, 1)?[0],
        }),
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

/// What compares a row with stored rows.
fn kernels(
    form: &Form,
    tensors: &Tensors,
    _width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Kernel {
            support,
            dual,
            intercept,
            kernel,
            outliers,
        } => {
            let (support, dual) = (
                Support::new(tensors.matrix(support)?, *kernel)?,
                single(tensors, dual, intercept)?,
            );
            require_outputs(dual.inputs(), support.len())?;
            Box::new(KernelRegressor {
                support,
                dual,
                outliers: *outliers,
            })
        }
        Form::KernelClassifier {
            support,
            dual,
            intercept,
            counts,
            kernel,
            classes,
            break_ties,
            platt,
        } => {
            let support = Support::new(tensors.matrix(support)?, *kernel)?;
            let counts = tensors.u32s(counts)?;
            require_outputs(counts.len(), classes.len())?;
            let pairs =
                KernelClassifier::spread(tensors.matrix(dual)?, counts, tensors.f64s(intercept)?)?;
            require_outputs(pairs.inputs(), support.len())?;
            let numbers = |key| tensors.vector(key, pairs.outputs()).map(<[f64]>::to_vec);
            let platt = platt
                .as_ref()
                .map(|(a, b)| Ok::<_, ModelError>((numbers(a)?, numbers(b)?)))
                .transpose()?;
            Box::new(KernelClassifier {
                support,
                pairs,
                classes: classes.clone(),
                break_ties: *break_ties,
                platt,
            })
        }
        Form::Neighbors {
            points,
            targets,
            count,
            metric,
            by_distance,
            classes,
        } => {
            let points = tensors.matrix(points)?;
            let points = Rows::new(points.columns, points.values.to_vec())?;
            Box::new(Neighbors::new(
                points,
                tensors.f64s(targets)?,
                *count,
                *metric,
                *by_distance,
                classes.clone(),
            )?)
        }
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

/// Estimators behind steps.
fn flows(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Pipeline { steps, last } => {
            let mut outputs = width;
            let mut built = Vec::with_capacity(steps.len());
            for step in steps {
                let step = transformers::build(step, tensors, outputs)?;
                outputs = step.outputs();
                built.push(step);
            }
            Box::new(Pipeline {
                width,
                steps: built,
                last: build(last, tensors, outputs)?,
            })
        }
        Form::TransformedTarget { regressor, target } => {
            let target = transformers::build(target, tensors, 1)?;
            if target.outputs() != 1 || !target.is_invertible() {
                return Err(ModelError::store(
                    "the transformation of the target has no inverse",
                ));
            }
            Box::new(TransformedTarget {
                regressor: build(regressor, tensors, width)?,
                target,
            })
        }
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

pub(super) fn require_outputs(found: usize, wanted: usize) -> Result<(), ModelError> {
    if found == wanted && wanted > 0 {
        return Ok(());
    }
    Err(ModelError::store(format!(
        "{found} outputs where {wanted} belong"
    )))
}

fn boosting(
    trees: &form::Trees,
    start: &form::Start,
    rate: f64,
    output: Output,
    classes: Option<&Labels>,
    tensors: &Tensors,
    width: usize,
) -> Result<Box<dyn Estimator>, ModelError> {
    let outputs = match (classes.map_or(0, Labels::len), output) {
        (0, Output::Identity | Output::Exp) | (2, Output::Sigmoid | Output::DoubleSigmoid) => 1,
        (count, Output::Softmax) if count >= 2 => count,
        _ => {
            return Err(ModelError::store(
                "the output of the boosting does not fit its classes",
            ));
        }
    };
    let start = match start {
        form::Start::Constant(key) => Start::Constant(tensors.vector(key, outputs)?.to_vec()),
        form::Start::Regressor(form) if outputs == 1 => {
            Start::Regressor(build(form, tensors, width)?)
        }
        form::Start::Regressor(_) => {
            return Err(ModelError::store(
                "the start of the boosting does not fit its outputs",
            ));
        }
        form::Start::Classifier { form, clip, link } => {
            let estimator = build(form, tensors, width)?;
            let single = matches!(link, StartLink::Logit | StartLink::HalfLogit);
            require_outputs(
                estimator.classes().map_or(0, Labels::len),
                if single { 2 } else { outputs },
            )?;
            let clip = tensors.vector(clip, 1)?[0];
            if !(0.0..0.5).contains(&clip) {
                return Err(ModelError::store("the clip of the start is out of range"));
            }
            Start::Classifier {
                estimator,
                clip,
                link: *link,
            }
        }
    };
    let trees = Trees::new(trees, tensors, width)?;
    require_outputs(trees.outputs(), 1)?;
    Ok(Box::new(Boosting {
        width,
        trees,
        start,
        rate,
        output,
        outputs,
        classes: classes.cloned(),
    }))
}

/// A dense layer of one output.
fn single(tensors: &Tensors, coef: &Key, intercept: &Key) -> Result<Dense, ModelError> {
    let dense = Dense::new(tensors, coef, intercept)?;
    if dense.outputs() == 1 {
        Ok(dense)
    } else {
        Err(ModelError::store("a regressor has one target"))
    }
}
