//! From the form of a step to the transformer that computes it.
//!
//! Each transformer checks its own form in its constructor. The transformers inside a transformer are built here and passed to it,
//! so that the recursion stays in this file and no transformer needs to know how another is made.

use super::columns::{Chain, Columns, Part, Select};
use super::encode::{Bins, OneHot, Ordinal};
use super::impute::Impute;
use super::power::{Elementwise, Power};
use super::project::{Polynomial, Project};
use super::quantile::Quantile;
use super::scale::{Binarize, MinMax, Normalize, Passthrough, Scale};
use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form::{self, Step};
use crate::tensors::Tensors;

/// Builds and validates a transformer for rows of `width` columns.
pub(crate) fn build(
    step: &Step,
    tensors: &Tensors,
    width: usize,
) -> Result<Box<dyn Transformer>, ModelError> {
    // No wildcard arm, so that a new step does not compile before it has one.
    Ok(match step {
        Step::Passthrough {} => Box::new(Passthrough { width }),
        Step::Scale(form) => Box::new(Scale::new(form, tensors, width)?),
        Step::MinMax(form) => Box::new(MinMax::new(form, tensors, width)?),
        Step::Normalize(form) => Box::new(Normalize::new(form, width)),
        Step::Binarize(form) => Box::new(Binarize::new(form, width)),
        Step::Polynomial(form) => Box::new(Polynomial::new(form, tensors, width)?),
        Step::Power(form) => Box::new(Power::new(form, tensors, width)?),
        Step::Quantile(form) => Box::new(Quantile::new(form, tensors, width)?),
        Step::Bins(form) => Box::new(Bins::new(form, tensors, width)?),
        Step::Project(form) => Box::new(Project::new(form, tensors, width)?),
        Step::Select(form) => Box::new(Select::new(form, width)?),
        Step::Impute(form) => Box::new(Impute::new(form, tensors, width)?),
        Step::OneHot(form) => Box::new(OneHot::new(form, tensors, width)?),
        Step::Ordinal(form) => Box::new(Ordinal::new(form, tensors, width)?),
        Step::Columns(form) => Box::new(columns(form, tensors, width)?),
        Step::Chain(form) => Box::new(build_chain(&form.steps, tensors, width)?),
        Step::Function(form) => Box::new(Elementwise::new(form, width)),
    })
}

/// Transformers one after the other.
pub(crate) fn build_chain(
    steps: &[Step],
    tensors: &Tensors,
    width: usize,
) -> Result<Chain, ModelError> {
    let mut chain = Chain::new(width);
    for step in steps {
        chain.push(build(step, tensors, chain.outputs())?);
    }
    Ok(chain)
}

fn columns(form: &form::Columns, tensors: &Tensors, width: usize) -> Result<Columns, ModelError> {
    let mut parts = Vec::with_capacity(form.parts.len());
    for part in &form.parts {
        let columns = Part::columns_of(part, width)?;
        let transformer = build(&part.step, tensors, columns.map_or(width, <[_]>::len))?;
        parts.push(Part::new(part, transformer));
    }
    Columns::new(parts)
}
