//! From scores to labels and probabilities.

use crate::error::ModelError;
use crate::form::Proba;
use crate::labels::Labels;
use crate::numeric::argmax;
use crate::rows::Rows;

/// The label with the highest probability in each row, or the first of several.
pub(super) fn most_likely(proba: &Rows, classes: &Labels) -> Vec<f64> {
    proba.iter().map(|row| classes.value(argmax(row))).collect()
}

/// Both columns of probabilities from that of the second class.
pub(super) fn two_columns(second: &[f64]) -> Result<Rows, ModelError> {
    Rows::new(2, second.iter().flat_map(|p| [1.0 - p, *p]).collect())
}

/// The reverse of [`two_columns`]; other numbers of classes stay as they are.
pub(super) fn second_of_two(proba: Rows) -> Rows {
    if proba.n_features() == 2 {
        proba.select_columns(&[1])
    } else {
        proba
    }
}

/// The label with the highest score in each row, or the first of several; a single score decides between two classes by its sign.
pub(super) fn decide(scores: &Rows, classes: &Labels) -> Vec<f64> {
    scores
        .iter()
        .map(|row| {
            classes.value(if let &[score] = row {
                usize::from(score > 0.0)
            } else {
                argmax(row)
            })
        })
        .collect()
}

/// The logistic function.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// Softmax in place, shifted by the maximum so that nothing overflows.
pub(super) fn softmax(row: &mut [f64]) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in row.iter_mut() {
        *value = (*value - max).exp();
    }
    normalize(row);
}

/// Divides each value by the sum of all.
pub(super) fn normalize(row: &mut [f64]) {
    let sum: f64 = row.iter().sum();
    for value in row {
        *value /= sum;
    }
}

/// Probabilities from scores, one column for each class.
pub(super) fn probabilities(scores: &Rows, proba: Proba) -> Rows {
    if scores.n_features() == 1 {
        let mut output = Rows::zeros(scores.n_rows(), 2);
        for (index, score) in scores.as_slice().iter().enumerate() {
            let row = output.row_mut(index);
            if proba == Proba::Softmax {
                row.copy_from_slice(&[-score, *score]);
                softmax(row);
            } else {
                let p = if proba == Proba::ModifiedHuber {
                    f64::midpoint(score.clamp(-1.0, 1.0), 1.0)
                } else {
                    sigmoid(*score)
                };
                row.copy_from_slice(&[1.0 - p, p]);
            }
        }
        return output;
    }
    let mut output = scores.clone();
    for row in output.iter_mut() {
        match proba {
            Proba::Softmax => softmax(row),
            Proba::ModifiedHuber => {
                for value in row.iter_mut() {
                    *value = f64::midpoint(value.clamp(-1.0, 1.0), 1.0);
                }
                // The loss rejects every class, so each is as likely as the other.
                if row.iter().all(|value| *value == 0.0) {
                    row.fill(1.0);
                }
                normalize(row);
            }
            Proba::Sigmoid | Proba::None => {
                for value in row.iter_mut() {
                    *value = sigmoid(*value);
                }
                normalize(row);
            }
        }
    }
    output
}
