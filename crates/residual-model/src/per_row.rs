//! Answers row by row: one bad row does not take its batch with it.

use crate::error::ModelError;
use crate::model::Model;
use crate::rows::Rows;

/// Bad rows that are taken out of a batch one by one; beyond, every row is asked alone, so that the cost stays in
/// proportion to the rows.
const TAKEN_OUT_MAX: usize = 4;

/// One answer a row, in order.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The prediction, or why there is none.
    pub values: Vec<Result<f64, String>>,
    /// A classifier's probabilities, one list a row; none for a row without an answer, and none at all where the model
    /// has none or nobody asked.
    pub probabilities: Vec<Option<Vec<f64>>>,
}

impl Model {
    /// Predicts every row that can be predicted, and says of each other one why not.
    #[must_use]
    pub fn answer_each(&self, rows: &Rows, with_probabilities: bool) -> Answers {
        let mut answers = Answers {
            values: self.predict_each(rows),
            probabilities: Vec::new(),
        };
        if with_probabilities && self.classes().is_some() {
            answers.probabilities = self.probabilities_each(rows, &answers.values);
        }
        answers
    }

    fn predict_each(&self, rows: &Rows) -> Vec<Result<f64, String>> {
        let mut kept: Vec<usize> = Vec::new();
        let mut refused: Vec<(usize, String)> = Vec::new();
        let mut answered = self.predict(rows);
        while let Err(ModelError::Value { row, .. }) = &answered {
            if refused.is_empty() {
                kept = (0..rows.n_rows()).collect();
            }
            if refused.len() == TAKEN_OUT_MAX || *row >= kept.len() {
                return (0..rows.n_rows())
                    .map(|row| self.predict_alone(rows, row))
                    .collect();
            }
            let place = kept.remove(*row);
            refused.push((place, self.reason(&answered)));
            answered = self.predict(&rows.only(&kept));
        }
        let mut values: Vec<_> = match answered {
            Ok(values) => values.into_iter().map(finite).collect(),
            Err(error) => vec![Err(error.story()); rows.n_rows() - refused.len()],
        };
        refused.sort_unstable_by_key(|(place, _)| *place);
        for (place, reason) in refused {
            values.insert(place, Err(reason));
        }
        values
    }

    fn predict_alone(&self, rows: &Rows, row: usize) -> Result<f64, String> {
        match self.predict(&rows.only(&[row])) {
            Ok(values) => values
                .first()
                .copied()
                .map_or_else(|| Err("the model gave no answer".to_owned()), finite),
            refused => Err(self.reason(&refused)),
        }
    }

    /// Why a row was refused; its number in the batch says nothing to whoever sent it.
    fn reason<T>(&self, answered: &Result<T, ModelError>) -> String {
        let name = |feature: usize| {
            let names = self.info().feature_names.as_ref()?;
            Some(format!(" (`{}`)", names.get(feature)?))
        };
        match answered {
            Err(ModelError::Value {
                feature, problem, ..
            }) => {
                let name = name(*feature).unwrap_or_default();
                format!("feature {feature}{name}: {problem}, and the model has no answer for it")
            }
            Err(error) => error.story(),
            Ok(_) => String::new(),
        }
    }

    fn probabilities_each(
        &self,
        rows: &Rows,
        values: &[Result<f64, String>],
    ) -> Vec<Option<Vec<f64>>> {
        let good: Vec<usize> = (0..values.len())
            .filter(|&row| values[row].is_ok())
            .collect();
        let probabilities = if good.len() == values.len() {
            self.predict_proba(rows)
        } else {
            self.predict_proba(&rows.only(&good))
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

    /// For each feature, whether a row without it is refused. A model that refuses even a row of zeros cannot be asked so,
    /// and is given the benefit of the doubt.
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

fn finite(answer: f64) -> Result<f64, String> {
    if answer.is_finite() {
        Ok(answer)
    } else {
        Err(format!("the model answered {answer}"))
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
            let answers = model.answer_each(&rows(20, &bad), true);
            assert!(answers.probabilities.is_empty(), "a regression has none");
            for (row, value) in answers.values.iter().enumerate() {
                match value {
                    Ok(value) => assert!(
                        (value - whole[row]).abs() <= 1e-12 * whole[row].abs(),
                        "{row}"
                    ),
                    Err(reason) => assert!(
                        reason.starts_with("feature 3: NaN is not a finite number"),
                        "{reason}"
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
