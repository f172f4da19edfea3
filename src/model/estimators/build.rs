//! From a form to the estimator that computes it.

use super::super::form::{self, Average as By, Form, Output, StartLink};
use super::super::info::Labels;
use super::super::tensors::{Key, Tensors};
use super::super::{Estimator, ModelError, Rows, transformers};
use super::calibrated::{Calibrated, Calibrator, Curve, Isotonic, OneVsRest};
use super::compose::{Pipeline, TransformedTarget};
use super::constant::Constant;
use super::dense::Dense;
use super::ensemble::{AdaBoost, Average, Median, Part, Stacking, stacked_width};
use super::forest::{Boosting, Forest, Isolation, Start};
use super::kernel::{KernelClassifier, KernelRegressor, Support};
use super::linear::{LinearClassifier, LinearRegressor};
use super::neighbors::Neighbors;
use super::network::Network;
use super::quadratic::Quadratic;
use super::trees::Trees;

/// One family of forms; `None` when the form is of another.
type Family = fn(&Form, &Tensors, usize) -> Result<Option<Box<dyn Estimator>>, ModelError>;

const FAMILIES: [Family; 7] = [plain, trees, kernels, flows, averages, boosts, curves];

/// Builds and validates an estimator for rows of `width` columns.
pub(in crate::model) fn build(
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

/// Averages and stacks of estimators.
fn averages(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Average {
            members,
            weights,
            by,
            classes,
        } => Box::new(average(
            members,
            weights.as_ref(),
            *by,
            classes.as_ref(),
            tensors,
            width,
        )?),
        Form::Stacking {
            members,
            methods,
            passthrough,
            last,
            classes,
        } => {
            require_outputs(members.len(), methods.len())?;
            let members: Vec<_> = all(members, tensors, width)?
                .into_iter()
                .zip(methods.iter().copied())
                .collect();
            let inputs: usize = members
                .iter()
                .map(|(member, method)| stacked_width(member.as_ref(), *method))
                .sum();
            let last = build(
                last,
                tensors,
                if *passthrough {
                    inputs.saturating_add(width)
                } else {
                    inputs
                },
            )?;
            if last.classes().map(Labels::len) != classes.as_ref().map(Labels::len) {
                return Err(ModelError::store(
                    "the last of the stack does not fit the classes",
                ));
            }
            Box::new(Stacking {
                width,
                members,
                passthrough: *passthrough,
                last,
                classes: classes.clone(),
            })
        }
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

fn average(
    members: &[form::Member],
    weights: Option<&Key>,
    by: By,
    classes: Option<&Labels>,
    tensors: &Tensors,
    width: usize,
) -> Result<Average, ModelError> {
    let mut parts = vec![];
    for member in members {
        let columns = member.columns.clone();
        if columns
            .as_ref()
            .is_some_and(|columns| columns.iter().any(|column| *column >= width))
        {
            return Err(ModelError::store(
                "a member sees a column that is not there",
            ));
        }
        let estimator = build(
            &member.form,
            tensors,
            columns.as_ref().map_or(width, Vec::len),
        )?;
        parts.push(Part::new(columns, estimator, classes)?);
    }
    if parts.is_empty() || (by == By::Mean) != classes.is_none() {
        return Err(ModelError::store("the members of an average do not fit"));
    }
    let weights = match weights {
        Some(key) => tensors.vector(key, parts.len())?.to_vec(),
        None => vec![1.0; parts.len()],
    };
    Ok(Average {
        width,
        parts,
        weights,
        by,
        classes: classes.cloned(),
    })
}

/// Weighted estimators, and estimators of each class.
fn boosts(
    form: &Form,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Median { members, weights } => {
            let members = all(members, tensors, width)?;
            let weights = tensors.vector(weights, members.len())?.to_vec();
            Box::new(Median {
                width,
                members,
                weights,
            })
        }
        Form::AdaBoost {
            members,
            weights,
            real,
            penalty,
            classes,
        } => {
            let members = all(members, tensors, width)?;
            let weights = tensors.vector(weights, members.len())?.to_vec();
            Box::new(AdaBoost::new(
                width,
                members,
                weights,
                (*real, *penalty),
                classes.clone(),
            )?)
        }
        Form::Calibrated { members, classes } => {
            let mut built = vec![];
            for member in members {
                let calibrators = member
                    .calibrators
                    .iter()
                    .map(|form| calibrator(form, tensors))
                    .collect::<Result<Vec<_>, _>>()?;
                built.push((build(&member.form, tensors, width)?, calibrators));
            }
            Box::new(Calibrated::new(width, built, classes.clone())?)
        }
        Form::OneVsRest { members, classes } => Box::new(OneVsRest::new(
            width,
            all(members, tensors, width)?,
            classes.clone(),
        )?),
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

/// Quadratic classifiers and curves.
fn curves(
    form: &Form,
    tensors: &Tensors,
    _width: usize,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let estimator: Box<dyn Estimator> = match form {
        Form::Quadratic {
            means,
            spread,
            projections,
            offsets,
            classes,
            decides,
        } => {
            let matrix = |key: &Key| {
                tensors
                    .matrix(key)
                    .and_then(|matrix| Rows::new(matrix.columns, matrix.values.to_vec()))
            };
            let quadratic = Quadratic {
                means: matrix(means)?,
                spread: spread.as_ref().map(matrix).transpose()?,
                projections: projections.iter().map(matrix).collect::<Result<_, _>>()?,
                offsets: tensors.f64s(offsets)?.to_vec(),
                classes: classes.clone(),
                decides: *decides,
            };
            Box::new(quadratic.validated()?)
        }
        Form::Isotonic { x, y, outside } => Box::new(Isotonic {
            curve: Curve::new(tensors.f64s(x)?, tensors.f64s(y)?, *outside)?,
        }),
        _ => return Ok(None),
    };
    Ok(Some(estimator))
}

/// Members over the same columns; at least one.
fn all(
    forms: &[Form],
    tensors: &Tensors,
    width: usize,
) -> Result<Vec<Box<dyn Estimator>>, ModelError> {
    if forms.is_empty() {
        return Err(ModelError::store("an ensemble has no members"));
    }
    forms
        .iter()
        .map(|form| build(form, tensors, width))
        .collect()
}

fn calibrator(form: &form::Calibrator, tensors: &Tensors) -> Result<Calibrator, ModelError> {
    Ok(match form {
        form::Calibrator::Sigmoid { ab } => {
            let ab = tensors.vector(ab, 2)?;
            Calibrator::Sigmoid { a: ab[0], b: ab[1] }
        }
        form::Calibrator::Isotonic { x, y, outside } => {
            Calibrator::Isotonic(Curve::new(tensors.f64s(x)?, tensors.f64s(y)?, *outside)?)
        }
    })
}

fn require_outputs(found: usize, wanted: usize) -> Result<(), ModelError> {
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
