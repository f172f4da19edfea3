//! `SimpleImputer`: missing values replaced by what the column usually holds.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::rows::Rows;

/// Replaces, drops columns that never had a value, and may add a flag for each column that can be missing.
#[derive(Debug)]
pub(super) struct Impute {
    statistics: Vec<f64>,
    missing: Option<f64>,
    kept: Vec<usize>,
    flagged: Vec<usize>,
}

impl Impute {
    pub(super) fn new(
        statistics: &[f64],
        missing: Option<f64>,
        kept: &[usize],
        flagged: &[usize],
    ) -> Result<Self, ModelError> {
        if kept
            .iter()
            .chain(flagged)
            .any(|column| *column >= statistics.len())
        {
            return Err(ModelError::store(
                "an imputer keeps a column that is not there",
            ));
        }
        Ok(Self {
            statistics: statistics.to_vec(),
            missing,
            kept: kept.to_vec(),
            flagged: flagged.to_vec(),
        })
    }

    #[expect(
        clippy::float_cmp,
        reason = "the stand-in for a missing value is met exactly"
    )]
    fn is_missing(&self, value: f64) -> bool {
        self.missing
            .map_or_else(|| value.is_nan(), |missing| value == missing)
    }
}

impl Transformer for Impute {
    fn outputs(&self) -> usize {
        self.kept.len() + self.flagged.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        if self.missing.is_none() {
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
                .flagged
                .iter()
                .map(|&column| f64::from(u8::from(self.is_missing(row[column]))));
            for (out, value) in output.row_mut(index).iter_mut().zip(values.chain(flags)) {
                *out = value;
            }
        }
        Ok(output)
    }
}
