//! From the form of an estimator made of estimators to what computes it.

use super::build::{build, require_outputs};
use super::calibrated::{Calibrated, Calibrator, Curve, Isotonic, OneVsRest};
use super::ensemble::{AdaBoost, Average, Median, Part, Stacking, stacked_width};
use super::estimator::Estimator;
use super::quadratic::Quadratic;
use crate::error::ModelError;
use crate::form::{self, Average as By, Form};
use crate::labels::Labels;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};

/// Averages and stacks of estimators.
pub(super) fn averages(
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
pub(super) fn boosts(
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
pub(super) fn curves(
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
