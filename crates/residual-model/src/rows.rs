//! A dense batch of rows: what goes into every estimator and what comes out of every transformer. NaN is a missing value.

use crate::error::ModelError;

/// A batch of rows: a row-major `[n_rows, n_features]` matrix of `f64`, in which NaN stands for a missing value.
///
/// ```
/// use residual_model::Rows;
///
/// let rows = Rows::new(2, vec![1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(rows, Rows::from_rows(&[[1.0, 2.0], [3.0, 4.0]])?);
/// assert_eq!(rows.row(1), [3.0, 4.0]);
/// # Ok::<(), residual_model::ModelError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Rows {
    /// Takes `values`, row after row; their number must be a multiple of `n_features`.
    ///
    /// # Errors
    /// [`ModelError::Width`] when the last row is too short.
    pub fn new(n_features: usize, values: Vec<f64>) -> Result<Self, ModelError> {
        let rest = if n_features == 0 {
            values.len()
        } else {
            values.len() % n_features
        };
        if rest != 0 {
            return Err(ModelError::Width {
                wanted: n_features,
                found: rest,
            });
        }
        let n_rows = values.len().checked_div(n_features).unwrap_or(0);
        Ok(Self {
            height: n_rows,
            width: n_features,
            values,
        })
    }

    /// Copies rows of equal length.
    ///
    /// # Errors
    /// [`ModelError::Width`] when a row is not as long as the first.
    pub fn from_rows<R: AsRef<[f64]>>(rows: &[R]) -> Result<Self, ModelError> {
        let n_features = rows.first().map_or(0, |row| row.as_ref().len());
        let mut values = Vec::with_capacity(rows.len() * n_features);
        for row in rows.iter().map(AsRef::as_ref) {
            if row.len() != n_features {
                return Err(ModelError::Width {
                    wanted: n_features,
                    found: row.len(),
                });
            }
            values.extend_from_slice(row);
        }
        Ok(Self {
            height: rows.len(),
            width: n_features,
            values,
        })
    }

    /// All zero, to be filled.
    pub(crate) fn zeros(n_rows: usize, n_features: usize) -> Self {
        Self {
            height: n_rows,
            width: n_features,
            values: vec![0.0; n_rows * n_features],
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.height
    }

    /// Number of values in a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.width
    }

    /// All values, row after row.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.values
    }

    /// All values, row after row, to be changed.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Self::n_rows`], like a slice.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// Row `index`, to be changed.
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.values[index * self.width..(index + 1) * self.width]
    }

    /// Every row in order, to be changed. Rows without a single feature are left out.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.values.chunks_exact_mut(self.width.max(1))
    }

    /// Changes each value by what `columns` holds for its column.
    pub(crate) fn map_by_column<T>(&mut self, columns: &[T], change: impl Fn(f64, &T) -> f64) {
        for row in self.iter_mut() {
            for (value, column) in row.iter_mut().zip(columns) {
                *value = change(*value, column);
            }
        }
    }

    /// Every row in order; also right for rows without a single feature.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        (0..self.height).map(|index| self.row(index))
    }

    /// The values moved out, row after row.
    #[must_use]
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }

    /// Rows `start` to before `end`.
    pub(crate) fn slice_rows(&self, start: usize, end: usize) -> Self {
        Self {
            height: end - start,
            width: self.width,
            values: self.values[start * self.width..end * self.width].to_vec(),
        }
    }

    /// One part below the other, `n_rows` in all; fails with the first part that failed.
    pub(crate) fn vstack(
        n_rows: usize,
        parts: impl Iterator<Item = Result<Self, ModelError>>,
    ) -> Result<Self, ModelError> {
        let mut whole = Self::default();
        for part in parts {
            let part = part?;
            if whole.width == 0 {
                whole.values.reserve_exact(n_rows * part.width);
            }
            whole.height += part.height;
            whole.width = part.width;
            whole.values.extend(part.values);
        }
        Ok(whole)
    }

    /// The same rows with only these columns, in this order.
    pub(crate) fn select_columns(&self, columns: &[usize]) -> Self {
        let values = self
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column]));
        Self {
            height: self.height,
            width: columns.len(),
            values: values.collect(),
        }
    }

    /// These rows only, in this order.
    pub(crate) fn take_rows(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row)).copied();
        Self {
            height: rows.len(),
            width: self.width,
            values: values.collect(),
        }
    }

    /// Side by side; all parts have the same number of rows.
    pub(crate) fn hstack(n_rows: usize, parts: &[Self]) -> Self {
        let n_features = parts.iter().map(Self::n_features).sum();
        let mut values = Vec::with_capacity(n_rows * n_features);
        for index in 0..n_rows {
            for part in parts {
                values.extend_from_slice(part.row(index));
            }
        }
        Self {
            height: n_rows,
            width: n_features,
            values,
        }
    }

    /// Fails unless there are `wanted` values a row.
    pub(crate) fn require_width(&self, wanted: usize) -> Result<(), ModelError> {
        if self.width == wanted || self.height == 0 {
            return Ok(());
        }
        Err(ModelError::Width {
            wanted,
            found: self.width,
        })
    }

    /// Fails on the first value that `accept` refuses.
    pub(crate) fn require(
        &self,
        problem: &str,
        accept: impl Fn(f64) -> bool,
    ) -> Result<(), ModelError> {
        // No early exit inside a chunk: so the compiler vectorises it, and the check costs a fraction of what a search does.
        let accepted = |chunk: &[f64]| chunk.iter().fold(true, |ok, &value| ok & accept(value));
        if self.values.chunks(256).all(accepted) {
            return Ok(());
        }
        let Some(index) = self.values.iter().position(|&value| !accept(value)) else {
            return Ok(());
        };
        let (row, feature) = (index / self.width, index % self.width);
        Err(ModelError::Value {
            row,
            feature,
            problem: format!("{} {problem}", self.values[index]),
        })
    }

    /// Fails on the first NaN or infinity, as most estimators of scikit-learn do.
    pub(crate) fn require_finite(&self) -> Result<(), ModelError> {
        self.require("is not a finite number", f64::is_finite)
    }

    /// Fails on the first infinity; NaN is a missing value and passes.
    pub(crate) fn require_not_infinite(&self) -> Result<(), ModelError> {
        self.require("is not a finite number", |value| !value.is_infinite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_last_row_is_refused_with_its_length() {
        let error = Rows::new(3, vec![1.0, 2.0, 3.0, 4.0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model wants 3 features a row, these rows have 1"
        );
        assert!(Rows::from_rows(&[vec![1.0], vec![1.0, 2.0]]).is_err());
    }

    #[test]
    fn a_value_that_is_not_finite_is_named_by_row_and_column() {
        let rows = Rows::new(2, vec![0.0, 1.0, 2.0, f64::NAN]).unwrap();
        assert_eq!(
            rows.require_finite().unwrap_err().to_string(),
            "row 1, feature 1: NaN is not a finite number"
        );
        assert!(rows.require_not_infinite().is_ok());
    }

    #[test]
    fn columns_are_chosen_and_joined_in_the_order_asked_for() {
        let rows = Rows::new(3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(
            rows.select_columns(&[2, 0]).as_slice(),
            &[3.0, 1.0, 6.0, 4.0]
        );
        let both = Rows::hstack(2, &[rows.select_columns(&[1]), rows.select_columns(&[0])]);
        assert_eq!(both.as_slice(), &[2.0, 1.0, 5.0, 4.0]);
    }
}
