//! From the form of a step to the transformer that computes it.

use super::columns::{Chain, Columns, Select};
use super::encode::{Bins, OneHot, Ordinal};
use super::impute::Impute;
use super::power::{Elementwise, Power};
use super::project::{Polynomial, Project};
use super::quantile::Quantile;
use super::scale::{Binarize, Normalize, Passthrough, Scale, Stretch};
use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form::Step;
use crate::tensors::{Key, Tensors};

/// Builds a step for rows of `width` columns.
pub(crate) fn build(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Box<dyn Transformer>, ModelError> {
    for family in [each_value, all_values, categories, flows] {
        if let Some(step) = family(step, tensors, width)? {
            return Ok(step);
        }
    }
    Err(ModelError::store("a step of the model is not known"))
}

/// Steps that change each value by itself.
fn each_value(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Transformer>>, ModelError> {
    let step: Box<dyn Transformer> = match step {
        Step::Passthrough {} => Box::new(Passthrough { width }),
        Step::Scale { center, scale } => Box::new(Scale {
            center: optional(tensors, center.as_ref(), width)?,
            divisor: optional(tensors, scale.as_ref(), width)?,
            width,
        }),
        Step::Stretch {
            scale,
            offset,
            clip,
        } => Box::new(Stretch {
            scale: tensors.vector(scale, width)?.to_vec(),
            offset: tensors.vector(offset, width)?.to_vec(),
            clip: clip.filter(|(low, high)| low <= high),
        }),
        Step::Binarize { threshold } => Box::new(Binarize {
            threshold: *threshold,
            width,
        }),
        Step::Power { lambdas, box_cox } => Box::new(Power {
            lambdas: tensors.vector(lambdas, width)?.to_vec(),
            box_cox: *box_cox,
        }),
        Step::Quantile {
            quantiles,
            references,
            normal,
        } => Box::new(Quantile::new(
            tensors.matrix(quantiles)?,
            tensors.f64s(references)?,
            *normal,
            width,
        )?),
        Step::Function { function, inverse } => Box::new(Elementwise {
            function: *function,
            inverse: *inverse,
            width,
        }),
        _ => return Ok(None),
    };
    Ok(Some(step))
}

/// Steps that see a whole row.
fn all_values(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Transformer>>, ModelError> {
    let step: Box<dyn Transformer> = match step {
        Step::Normalize { norm } => Box::new(Normalize { norm: *norm, width }),
        Step::Polynomial { columns, lengths } => Box::new(Polynomial::new(
            tensors.u32s(columns)?,
            tensors.u32s(lengths)?,
            width,
        )?),
        Step::Project {
            mean,
            components,
            scale,
        } => {
            let components = tensors.matrix(components)?;
            let (mean, scale) = (
                optional(tensors, mean.as_ref(), width)?,
                optional(tensors, scale.as_ref(), components.rows)?,
            );
            Box::new(Project::new(mean, components, scale, width)?)
        }
        Step::Select { columns } => Box::new(Select::new(columns, width)?),
        Step::Impute {
            statistics,
            missing,
            kept,
            flagged,
        } => Box::new(Impute::new(
            tensors.vector(statistics, width)?,
            *missing,
            kept,
            flagged,
        )?),
        _ => return Ok(None),
    };
    Ok(Some(step))
}

/// Steps over categories and bins.
fn categories(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Transformer>>, ModelError> {
    let step: Box<dyn Transformer> = match step {
        Step::Bins {
            edges,
            lengths,
            digitize,
        } => Box::new(Bins::new(
            tensors.f64s(edges)?,
            tensors.u32s(lengths)?,
            *digitize,
            width,
        )?),
        Step::OneHot {
            categories,
            dropped,
            ignore_unknown,
        } => {
            let categories = lists(categories, tensors, width)?;
            Box::new(OneHot::new(categories, dropped, *ignore_unknown)?)
        }
        Step::Ordinal {
            categories,
            codes,
            unknown,
            missing,
        } => {
            let categories = lists(categories, tensors, width)?;
            let codes = codes
                .as_ref()
                .map(|codes| lists(codes, tensors, width))
                .transpose()?;
            let unknown = optional(tensors, unknown.as_ref(), width)?;
            let missing = optional(tensors, missing.as_ref(), 1)?.map(|values| values[0]);
            Box::new(Ordinal::new(categories, codes, unknown, missing)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(step))
}

/// Steps made of steps.
fn flows(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Option<Box<dyn Transformer>>, ModelError> {
    let step: Box<dyn Transformer> = match step {
        Step::Columns { parts } => Box::new(Columns::new(parts, tensors, width)?),
        Step::Chain { steps } => Box::new(Chain::new(steps, tensors, width)?),
        _ => return Ok(None),
    };
    Ok(Some(step))
}

fn optional(
    tensors: &Tensors,
    key: Option<&Key>,
    len: usize,
) -> Result<Option<Vec<f64>>, ModelError> {
    key.map(|key| tensors.vector(key, len).map(<[f64]>::to_vec))
        .transpose()
}

fn lists(keys: &[Key], tensors: &Tensors, width: usize) -> Result<Vec<Vec<f64>>, ModelError> {
    if keys.len() != width {
        return Err(ModelError::store(format!(
            "an encoder of {} columns is given {width}",
            keys.len()
        )));
    }
    keys.iter()
        .map(|key| tensors.f64s(key).map(<[f64]>::to_vec))
        .collect()
}
