//! Which columns go where: feature selection, column transformers, unions and chains.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form;
use crate::rows::Rows;

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
    pub(super) fn new(form: &form::Select, width: usize) -> Result<Self, ModelError> {
        require_inside(&form.columns, width)?;
        Ok(Self {
            columns: form.columns.clone(),
        })
    }
}

impl Transformer for Select {
    fn outputs(&self) -> usize {
        self.columns.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(rows.select_columns(&self.columns))
    }
}

/// `ColumnTransformer` and `FeatureUnion`: parts side by side.
#[derive(Debug)]
pub(super) struct Columns {
    parts: Vec<Part>,
    outputs: usize,
}

/// One part of [`Columns`].
#[derive(Debug)]
pub(super) struct Part {
    columns: Option<Vec<usize>>,
    transformer: Box<dyn Transformer>,
    weight: Option<f64>,
}

impl Part {
    /// The columns that a part sees of `width`; `None` for all of them.
    pub(super) fn columns_of(
        form: &form::Part,
        width: usize,
    ) -> Result<Option<&[usize]>, ModelError> {
        let columns = form.columns.as_deref();
        require_inside(columns.unwrap_or_default(), width)?;
        Ok(columns)
    }

    pub(super) fn new(form: &form::Part, transformer: Box<dyn Transformer>) -> Self {
        Self {
            columns: form.columns.clone(),
            transformer,
            weight: form.weight,
        }
    }
}

impl Columns {
    pub(super) fn new(parts: Vec<Part>) -> Result<Self, ModelError> {
        let outputs = parts
            .iter()
            .try_fold(0_usize, |sum, part| {
                sum.checked_add(part.transformer.outputs())
            })
            .ok_or_else(|| ModelError::store("too many columns"))?;
        Ok(Self { parts, outputs })
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
                Some(columns) => part.transformer.apply(&rows.select_columns(columns))?,
                None => part.transformer.apply(rows)?,
            };
            if let Some(weight) = part.weight {
                output
                    .as_mut_slice()
                    .iter_mut()
                    .for_each(|value| *value *= weight);
            }
            outputs.push(output);
        }
        Ok(Rows::hstack(rows.n_rows(), &outputs))
    }
}

/// Transformers one after the other: a pipeline inside a pipeline, or all of a pipeline but its last step.
#[derive(Debug)]
pub(crate) struct Chain {
    steps: Vec<Box<dyn Transformer>>,
    outputs: usize,
}

impl Chain {
    /// Without a step yet, over rows of `width` columns.
    pub(super) fn new(width: usize) -> Self {
        Self {
            steps: vec![],
            outputs: width,
        }
    }

    /// Adds a step, which was built for as many columns as the chain gives so far.
    pub(super) fn push(&mut self, step: Box<dyn Transformer>) {
        self.outputs = step.outputs();
        self.steps.push(step);
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
