//! New columns from all columns: projections and products.

use super::transformer::Transformer;
use crate::dense::Dense;
use crate::error::ModelError;
use crate::form;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// `PCA` and `TruncatedSVD`.
#[derive(Debug)]
pub(super) struct Project {
    mean: Option<Vec<f64>>,
    dense: Dense,
    scale: Option<Vec<f64>>,
}

impl Project {
    pub(super) fn new(
        form: &form::Project,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let components = tensors.matrix(&form.components)?;
        let mean = tensors.optional_vector(form.mean.as_ref(), width)?;
        let scale = tensors.optional_vector(form.scale.as_ref(), components.rows)?;
        if components.columns != width {
            return Err(ModelError::store(format!(
                "components of {} columns are given {width}",
                components.columns
            )));
        }
        let dense = Dense::from_parts(
            width,
            components.values.to_vec(),
            vec![0.0; components.rows],
        )?;
        Ok(Self { mean, dense, scale })
    }
}

impl Transformer for Project {
    fn outputs(&self) -> usize {
        self.dense.outputs()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut centered = rows.clone();
        if let Some(mean) = &self.mean {
            centered.map_by_column(mean, |value, mean| value - mean);
        }
        let mut output = self.dense.apply(&centered)?;
        if let Some(scale) = &self.scale {
            output.map_by_column(scale, |value, scale| value / scale);
        }
        Ok(output)
    }
}

/// `PolynomialFeatures`.
#[derive(Debug)]
pub(super) struct Polynomial {
    products: Vec<Vec<usize>>,
}

impl Polynomial {
    pub(super) fn new(
        form: &form::Polynomial,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let (columns, lengths) = (tensors.u32s(&form.columns)?, tensors.u32s(&form.lengths)?);
        let total = lengths
            .iter()
            .try_fold(0_usize, |sum, len| sum.checked_add(*len as usize));
        if total != Some(columns.len()) || columns.iter().any(|column| *column as usize >= width) {
            return Err(ModelError::store(
                "the products of columns do not fit the columns",
            ));
        }
        let mut rest = columns.iter().map(|column| *column as usize);
        Ok(Self {
            products: lengths
                .iter()
                .map(|len| rest.by_ref().take(*len as usize).collect())
                .collect(),
        })
    }
}

impl Transformer for Polynomial {
    fn outputs(&self) -> usize {
        self.products.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut output = Rows::zeros(rows.n_rows(), self.outputs());
        for (index, row) in rows.iter().enumerate() {
            for (out, product) in output.row_mut(index).iter_mut().zip(&self.products) {
                *out = product.iter().map(|&column| row[column]).product();
            }
        }
        Ok(output)
    }
}
