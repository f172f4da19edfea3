//! Which columns go where: selections, column transformers, unions and chains.

use super::build::build;
use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form::{Part, Step};
use crate::rows::Rows;
use crate::tensors::Tensors;

/// A feature selection.
#[derive(Debug)]
pub(super) struct Select {
    columns: Vec<usize>,
}

fn require_inside(columns: &[usize], width: usize) -> Result<(), ModelError> {
    match columns.iter().find(|column| **column >= width) {
        Some(column) => Err(ModelError::store(format!(
            "column {column} is selected of {width}"
        ))),
        None => Ok(()),
    }
}

impl Select {
    pub(super) fn new(columns: &[usize], width: usize) -> Result<Self, ModelError> {
        require_inside(columns, width)?;
        Ok(Self {
            columns: columns.to_vec(),
        })
    }
}

impl Transformer for Select {
    fn outputs(&self) -> usize {
        self.columns.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(rows.select(&self.columns))
    }
}

/// `ColumnTransformer` and `FeatureUnion`: parts side by side.
#[derive(Debug)]
pub(super) struct Columns {
    parts: Vec<Fitted>,
    outputs: usize,
}

#[derive(Debug)]
struct Fitted {
    columns: Option<Vec<usize>>,
    step: Box<dyn Transformer>,
    weight: Option<f64>,
}

impl Columns {
    pub(super) fn new(parts: &[Part], tensors: &Tensors, width: usize) -> Result<Self, ModelError> {
        let mut fitted: Vec<Fitted> = Vec::with_capacity(parts.len());
        for part in parts {
            let columns = part.columns.clone();
            require_inside(columns.as_deref().unwrap_or_default(), width)?;
            let step = build(
                &part.step,
                tensors,
                columns.as_ref().map_or(width, Vec::len),
            )?;
            fitted.push(Fitted {
                columns,
                step,
                weight: part.weight,
            });
        }
        let outputs = fitted
            .iter()
            .try_fold(0_usize, |sum, part| sum.checked_add(part.step.outputs()));
        Ok(Self {
            parts: fitted,
            outputs: outputs.ok_or_else(|| ModelError::store("too many columns"))?,
        })
    }
}

impl Transformer for Columns {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut outputs = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let mut output = match &part.columns {
                Some(columns) => part.step.apply(&rows.select(columns))?,
                None => part.step.apply(rows)?,
            };
            if let Some(weight) = part.weight {
                output
                    .as_mut_slice()
                    .iter_mut()
                    .for_each(|value| *value *= weight);
            }
            outputs.push(output);
        }
        Ok(Rows::beside(rows.n_rows(), &outputs))
    }
}

/// Steps one after the other.
#[derive(Debug)]
pub(super) struct Chain {
    steps: Vec<Box<dyn Transformer>>,
    outputs: usize,
}

impl Chain {
    pub(super) fn new(steps: &[Step], tensors: &Tensors, width: usize) -> Result<Self, ModelError> {
        let mut outputs = width;
        let mut built: Vec<Box<dyn Transformer>> = Vec::with_capacity(steps.len());
        for step in steps {
            let step = build(step, tensors, outputs)?;
            outputs = step.outputs();
            built.push(step);
        }
        Ok(Self {
            steps: built,
            outputs,
        })
    }
}

impl Transformer for Chain {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut steps = self.steps.iter();
        let Some(first) = steps.next() else {
            return Ok(rows.clone());
        };
        steps.try_fold(first.apply(rows)?, |rows, step| step.apply(&rows))
    }

    fn is_invertible(&self) -> bool {
        self.steps.iter().all(|step| step.is_invertible())
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        self.steps
            .iter()
            .rev()
            .try_fold(rows.clone(), |rows, step| step.invert(&rows))
    }
}
