//! The classes of a classifier: numbers, or texts that are predicted as their index.
//!
//! Promise: a label is a number everywhere. A classifier of numbers (booleans are 0 and 1) predicts the numbers themselves; a
//! classifier of text predicts the index of the text among its classes, and [`Labels`] turns the index back into the text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The classes of a classifier, in the order of its probabilities: scikit-learn's `classes_`.
///
/// ```
/// use residual_model::Labels;
///
/// let labels = Labels::Text(vec!["no".to_owned(), "yes".to_owned()]);
/// assert_eq!(labels.parse("yes"), Some(1.0));
/// assert_eq!(labels.index(1.0), Some(1));
/// assert_eq!(labels.name(1), "yes");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// Integers, floats or booleans (as 0 and 1): a prediction is the label itself.
    Numbers(Vec<f64>),
    /// Texts: a prediction is an index into these.
    Text(Vec<String>),
}

impl Default for Labels {
    /// No classes.
    fn default() -> Self {
        Self::Numbers(Vec::new())
    }
}

impl Labels {
    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    /// Whether there is no class at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether labels are text, so that a prediction is an index.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// What a model predicts for class `index`; NaN when there is no such class of numbers.
    #[must_use]
    pub fn value(&self, index: usize) -> f64 {
        match self {
            Self::Numbers(numbers) => numbers.get(index).copied().unwrap_or(f64::NAN),
            #[expect(clippy::cast_precision_loss, reason = "an index far below 2^53")]
            Self::Text(_) => index as f64,
        }
    }

    /// Index of the class that the prediction `value` stands for.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "labels are whole or exactly stored")]
    pub fn index(&self, value: f64) -> Option<usize> {
        (0..self.len()).find(|&index| {
            self.value(index).to_bits() == value.to_bits() || self.value(index) == value
        })
    }

    /// Name of class `index`; empty when there is no such class.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        match self {
            Self::Numbers(numbers) => numbers
                .get(index)
                .map_or_else(String::new, ToString::to_string),
            Self::Text(texts) => texts.get(index).cloned().unwrap_or_default(),
        }
    }

    /// The number that a cell of a table stands for. Of labels that are texts, it is the index of the text; of labels that are
    /// numbers, any finite number, `true` (1) or `false` (0). A number that the model was never fitted on is a label, too, though one
    /// that it cannot predict.
    #[must_use]
    pub fn parse(&self, cell: &str) -> Option<f64> {
        match self {
            Self::Text(texts) => {
                let index = texts.iter().position(|text| text == cell)?;
                Some(self.value(index))
            }
            Self::Numbers(_) if cell.eq_ignore_ascii_case("true") => Some(1.0),
            Self::Numbers(_) if cell.eq_ignore_ascii_case("false") => Some(0.0),
            Self::Numbers(_) => cell.parse().ok().filter(|value: &f64| value.is_finite()),
        }
    }
}

/// The first 20, so that a message stays readable.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 20;
        for index in 0..self.len().min(SHOWN_MAX) {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}`{}`", self.name(index))?;
        }
        match self.len().checked_sub(SHOWN_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Labels {
        Labels::Text(vec!["no".to_owned(), "yes".to_owned()])
    }

    #[test]
    fn a_cell_is_read_as_its_label() {
        assert_eq!(text().parse("yes"), Some(1.0));
        assert_eq!(text().parse("1"), None);
        let numbers = Labels::Numbers(vec![0.0, 1.0]);
        assert_eq!(
            ["True", "0", "7", "x", "inf"].map(|cell| numbers.parse(cell)),
            [Some(1.0), Some(0.0), Some(7.0), None, None]
        );
    }

    #[test]
    fn labels_are_written_as_a_plain_list() {
        assert_eq!(serde_json::to_string(&text()).unwrap(), r#"["no","yes"]"#);
        let numbers: Labels = serde_json::from_str("[1, 2, 7]").unwrap();
        assert_eq!(numbers, Labels::Numbers(vec![1.0, 2.0, 7.0]));
        assert_eq!(numbers.index(7.0), Some(2));
    }
}
