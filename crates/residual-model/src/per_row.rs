//! Predictions row by row: a row that the model refuses does not take its batch with it.

use std::sync::Arc;

use crate::error::ModelError;
use crate::model::Model;
use crate::rows::Rows;

/// Refused rows that are taken out of a batch, each at the price of one more call; after that every row is predicted alone,
/// so that the cost stays in proportion to the number of rows.
const RETRIES_MAX: usize = 4;

/// What [`Model::predict_each`] says of each row, in the order of the rows.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RowPredictions {
    /// The prediction as [`Model::predict`] gives it, always finite, or why there is none.
    pub values: Vec<Result<f64, RowError>>,
    /// A classifier's probabilities, one for each class; `None` for a row without a prediction. The whole list is empty when
    /// the model has no probabilities or they were not asked for.
    pub probabilities: Vec<Option<Vec<f64>>>,
}

/// Why one row of a batch has no prediction. It does not name the row, whose place in a batch says nothing to whoever sent it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// A value that the model has no answer for.
    #[error(
        "feature {feature}{}: {problem}, and the model has no answer for it",
        name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default()
    )]
    Value {
        /// Index of the column, from 0.
        feature: usize,
        /// Name of the column, where the model knows names.
        name: Option<String>,
        /// What is wrong with the value.
        problem: String,
    },
    /// The model's arithmetic ended in NaN or an infinity.
    #[error("the model answered {value}")]
    NotFinite {
        /// What it answered.
        value: f64,
    },
    /// The model predicted fewer rows than it was given.
    #[error("the model gave no answer")]
    NoAnswer,
    /// The whole batch failed.
    #[error(transparent)]
    Batch(Arc<ModelError>),
}

impl Model {
    /// Predicts every row that can be predicted, and says of each other one why not. With `with_probabilities`, a classifier gives its
    /// probabilities, too.
    ///
    /// ```
    /// use residual_model::{Rows, open_bytes};
    ///
    /// let pickle = include_bytes!("../tests/fixtures/1.9.1/LinearRegression.p4.pkl");
    /// let model = open_bytes("LinearRegression.p4.pkl", pickle)?;
    /// let rows = Rows::from_rows(&[[0.0; 5], [f64::NAN; 5]])?;
    /// assert!(model.predict(&rows).is_err());
    ///
    /// let predictions = model.predict_each(&rows, false);
    /// assert!(predictions.values[0].is_ok());
    /// assert_eq!(
    ///     predictions.values[1].as_ref().unwrap_err().to_string(),
    ///     "feature 0: NaN is not a finite number, and the model has no answer for it",
    /// );
    /// # Ok::<(), residual_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn predict_each(&self, rows: &Rows, with_probabilities: bool) -> RowPredictions {
        let mut predictions = RowPredictions {
            values: self.values_each(rows),
            probabilities: Vec::new(),
        };
        if with_probabilities && self.classes().is_some() {
            predictions.probabilities = self.probabilities_each(rows, &predictions.values);
        }
        predictions
    }

    fn values_each(&self, rows: &Rows) -> Vec<Result<f64, RowError>> {
        let mut kept: Vec<usize> = Vec::new();
        let mut refused: Vec<(usize, RowError)> = Vec::new();
        let mut predicted = self.predict(rows);
        loop {
            match predicted {
                Err(ModelError::Value {
                    row,
                    feature,
                    problem,
                }) => {
                    if refused.is_empty() {
                        kept = (0..rows.n_rows()).collect();
                    }
                    if refused.len() == RETRIES_MAX || row >= kept.len() {
                        return (0..rows.n_rows())
                            .map(|row| self.value_alone(rows, row))
                            .collect();
                    }
                    refused.push((kept.remove(row), self.value_error(feature, problem)));
                    predicted = self.predict(&rows.take_rows(&kept));
                }
                Err(error) => {
                    let error = RowError::Batch(Arc::new(error));
                    let values = vec![Err(error); rows.n_rows() - refused.len()];
                    return with_refused(values, refused);
                }
                Ok(values) => {
                    return with_refused(values.into_iter().map(finite).collect(), refused);
                }
            }
        }
    }

    fn value_alone(&self, rows: &Rows, row: usize) -> Result<f64, RowError> {
        match self.predict(&rows.take_rows(&[row])) {
            Ok(values) => values
                .first()
                .copied()
                .map_or(Err(RowError::NoAnswer), finite),
            Err(ModelError::Value {
                feature, problem, ..
            }) => Err(self.value_error(feature, problem)),
            Err(error) => Err(RowError::Batch(Arc::new(error))),
        }
    }

    fn value_error(&self, feature: usize, problem: String) -> RowError {
        let names = self.info().feature_names.as_ref();
        RowError::Value {
            feature,
            name: names.and_then(|names| names.get(feature)).cloned(),
            problem,
        }
    }

    fn probabilities_each(
        &self,
        rows: &Rows,
        values: &[Result<f64, RowError>],
    ) -> Vec<Option<Vec<f64>>> {
        let good: Vec<usize> = (0..values.len())
            .filter(|&row| values[row].is_ok())
            .collect();
        let probabilities = if good.len() == values.len() {
            self.predict_proba(rows)
        } else {
            self.predict_proba(&rows.take_rows(&good))
        };
        let Some(Ok(probabilities)) = probabilities else {
            return Vec::new();
        };
        let mut each = vec![None; values.len()];
        for (row, list) in good.into_iter().zip(probabilities.iter()) {
            each[row] = Some(list.to_vec());
        }
        each
    }

    /// For each feature, whether the model refuses a row in which that feature is missing (NaN) and every other is 0. All
    /// `false` for a model that refuses even a row of zeros, because then this says nothing.
    #[must_use]
    pub fn refuses_missing(&self) -> Vec<bool> {
        let width = self.info().n_features;
        let is_refused = |values: Vec<f64>| {
            let rows = Rows::new(width, values);
            let answered = rows.and_then(|rows| self.predict(&rows));
            matches!(answered, Err(ModelError::Value { .. }))
        };
        if is_refused(vec![0.0; width]) {
            return vec![false; width];
        }
        let without = |feature: usize| {
            let mut values = vec![0.0; width];
            values[feature] = f64::NAN;
            values
        };
        (0..width)
            .map(|feature| is_refused(without(feature)))
            .collect()
    }
}

/// The predictions of the rows that were kept, with the errors of the refused ones at their places among all rows.
fn with_refused(
    mut values: Vec<Result<f64, RowError>>,
    mut refused: Vec<(usize, RowError)>,
) -> Vec<Result<f64, RowError>> {
    refused.sort_unstable_by_key(|(place, _)| *place);
    for (place, error) in refused {
        values.insert(place, Err(error));
    }
    values
}

fn finite(value: f64) -> Result<f64, RowError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(RowError::NotFinite { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five features, no names.
    fn linear() -> Model {
        let bytes = include_bytes!("../tests/fixtures/1.9.1/LinearRegression.p4.pkl");
        crate::open::open_bytes("a fixture", bytes).unwrap()
    }

    /// Rows for it; those at these places lack a value.
    fn rows(count: usize, bad: &[usize]) -> Rows {
        let mut values: Vec<f64> = (0_u32..)
            .take(count * 5)
            .map(|i| f64::from(i % 7) / 100.0)
            .collect();
        for place in bad {
            values[place * 5 + 3] = f64::NAN;
        }
        Rows::new(5, values).unwrap()
    }

    #[test]
    fn only_the_bad_rows_have_no_answer_however_many_they_are() {
        let model = linear();
        let whole = model.predict(&rows(20, &[])).unwrap();
        for bad in [
            vec![],
            vec![0],
            vec![19],
            vec![3, 4, 11],
            (0..20).step_by(2).collect(),
            (0..20).collect(),
        ] {
            let predictions = model.predict_each(&rows(20, &bad), true);
            assert!(
                predictions.probabilities.is_empty(),
                "a regression has none"
            );
            for (row, value) in predictions.values.iter().enumerate() {
                match value {
                    Ok(value) => assert!(
                        (value - whole[row]).abs() <= 1e-12 * whole[row].abs(),
                        "{row}"
                    ),
                    Err(error) => assert_eq!(
                        error.to_string(),
                        "feature 3: NaN is not a finite number, and the model has no answer for it"
                    ),
                }
                assert_eq!(value.is_err(), bad.contains(&row), "{row} of {bad:?}");
            }
        }
    }

    #[test]
    fn a_linear_model_refuses_what_is_missing() {
        assert_eq!(linear().refuses_missing(), [true; 5]);
    }
}
