//! `SimpleImputer`: missing values are replaced by a statistic of their column.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// Replaces missing values, leaves out columns that had none but missing values, and may add indicator columns.
#[derive(Debug)]
pub(super) struct Impute {
    statistics: Vec<f64>,
    missing_values: Option<f64>,
    kept: Vec<usize>,
    indicators: Vec<usize>,
}

impl Impute {
    pub(super) fn new(
        form: &form::Impute,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let statistics = tensors.vector(&form.statistics, width)?.to_vec();
        if form
            .kept
            .iter()
            .chain(&form.indicators)
            .any(|column| *column >= width)
        {
            return Err(ModelError::store(
                "an imputer keeps a column that is not there",
            ));
        }
        Ok(Self {
            statistics,
            missing_values: form.missing_values,
            kept: form.kept.clone(),
            indicators: form.indicators.clone(),
        })
    }

    #[expect(
        clippy::float_cmp,
        reason = "the stand-in for a missing value is met exactly"
    )]
    fn is_missing(&self, value: f64) -> bool {
        self.missing_values
            .map_or_else(|| value.is_nan(), |missing| value == missing)
    }
}

impl Transformer for Impute {
    fn outputs(&self) -> usize {
        self.kept.len() + self.indicators.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        if self.missing_values.is_none() {
            rows.require_not_infinite()?;
        } else {
            rows.require_finite()?;
        }
        let mut output = Rows::zeros(rows.n_rows(), self.outputs());
        for (index, row) in rows.iter().enumerate() {
            let values = self.kept.iter().map(|&column| {
                if self.is_missing(row[column]) {
                    self.statistics[column]
                } else {
                    row[column]
                }
            });
            let flags = self
                .indicators
                .iter()
                .map(|&column| f64::from(u8::from(self.is_missing(row[column]))));
            for (out, value) in output.row_mut(index).iter_mut().zip(values.chain(flags)) {
                *out = value;
            }
        }
        Ok(output)
    }
}
