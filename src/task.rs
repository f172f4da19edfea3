//! What a prediction is, and what its error is: the distance of a number, or whether a label is right.
//!
//! Promise: everywhere in the pipeline a label is a number; [`Labels`] says which text it stands for.
//! Deliberately absent: the arithmetic of models, and files.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use residual_model::Labels;
use residual_model::ModelInfo;

/// Most classes of one model; more are refused, so that everything that counts by class is bounded.
pub const CLASSES_MAX: usize = 4_096;

/// What a prediction is, and so what its error is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A number; the error is its distance from the truth.
    #[default]
    Regression,
    /// A label; the error is 0 if it is the true one, else 1.
    Classification,
}

impl Task {
    /// `absolute_error` of the log: the distance, or 0 for the right label and 1 for a wrong one. It stays finite even if two
    /// huge values of different sign are further apart than an `f64` can say.
    #[must_use]
    #[inline]
    #[expect(clippy::float_cmp, reason = "labels are exact, not measured")]
    pub fn error(self, y_true: f64, y_pred: f64) -> f64 {
        match self {
            Self::Regression => (y_true - y_pred).abs().min(f64::MAX),
            Self::Classification => f64::from(u8::from(y_true != y_pred)),
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Regression => Self::Classification,
            Self::Classification => Self::Regression,
        }
    }

    /// As in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Classification => "classification",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The setting `task`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskChoice {
    /// That of the model if the process has one, else what the logs folder says, else regression.
    #[default]
    Auto,
    /// Predictions are numbers.
    Regression,
    /// Predictions are labels.
    Classification,
}

impl TaskChoice {
    /// The task that the setting demands; none for `auto`.
    #[must_use]
    pub fn asked(self) -> Option<Task> {
        match self {
            Self::Auto => None,
            Self::Regression => Some(Task::Regression),
            Self::Classification => Some(Task::Classification),
        }
    }
}

/// Why a list of labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// There are more than [`CLASSES_MAX`].
    #[error("there are {0} labels, at most {CLASSES_MAX} are counted apart")]
    TooMany(usize),
    /// The same label stands there more than once.
    #[error("label `{0}` is there twice")]
    Twice(String),
}

/// Checks that these can be the labels of a log.
///
/// # Errors
/// When there are too many, or two are the same.
pub fn check_labels(labels: &Labels) -> Result<(), LabelsError> {
    if labels.len() > CLASSES_MAX {
        return Err(LabelsError::TooMany(labels.len()));
    }
    let mut names: Vec<_> = (0..labels.len()).map(|index| labels.name(index)).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(LabelsError::Twice(pair[0].clone())),
        None => Ok(()),
    }
}

/// What the predictions in one log are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The task.
    pub task: Task,
    /// The labels of a classification, if they are known.
    #[serde(default)]
    pub labels: Option<Labels>,
}

impl TaskSpec {
    /// A classification, with or without known labels.
    #[must_use]
    pub fn of_labels(labels: Option<Labels>) -> Self {
        Self {
            task: Task::Classification,
            labels: labels.filter(|labels| !labels.is_empty()),
        }
    }

    /// What the predictions of this model are. An outlier detector predicts labels too, 1 and -1.
    #[must_use]
    pub fn of_model(info: &ModelInfo) -> Self {
        match info.task {
            residual_model::Task::Regression => Self::default(),
            residual_model::Task::Classification => Self::of_labels(info.classes.clone()),
            residual_model::Task::OutlierDetection => {
                Self::of_labels(Some(Labels::Numbers(vec![-1.0, 1.0])))
            }
        }
    }

    /// Whether predictions are labels.
    #[must_use]
    pub fn is_classification(&self) -> bool {
        self.task == Task::Classification
    }

    /// The class of a label: its index among the known labels; without them, a small whole number is its own index.
    #[must_use]
    pub fn class(&self, label: f64) -> Option<usize> {
        match &self.labels {
            Some(labels) => labels.index(label),
            None => whole(label),
        }
    }

    /// The name of a label.
    #[must_use]
    pub fn name(&self, label: f64) -> String {
        let known = self.labels.as_ref().filter(|labels| labels.is_text());
        known
            .and_then(|labels| Some(labels.name(labels.index(label)?)))
            .unwrap_or_else(|| label.to_string())
    }

    /// Whether both have the same task, and the same labels as far as both know any.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let same_labels = match (&self.labels, &other.labels) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        self.task == other.task && same_labels
    }
}

/// Such as ``classification of `setosa`, `versicolor` ``.
impl fmt::Display for TaskSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.labels {
            Some(labels) => write!(f, "{} of {labels}", self.task),
            None => self.task.fmt(f),
        }
    }
}

/// The label as an index below [`CLASSES_MAX`], if it is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole and between 0 and the bound by the check before"
)]
fn whole(label: f64) -> Option<usize> {
    (label.fract() == 0.0 && (0.0..CLASSES_MAX as f64).contains(&label)).then_some(label as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Labels {
        Labels::Text(vec!["no".to_owned(), "yes".to_owned()])
    }

    #[test]
    fn a_label_is_right_or_wrong_and_a_number_is_near_or_far() {
        assert_eq!(Task::Classification.error(2.0, 0.0), 1.0);
        assert_eq!(Task::Classification.error(2.0, 2.0), 0.0);
        assert_eq!(Task::Regression.error(2.0, 0.0), 2.0);
        assert_eq!(Task::Regression.error(-1.7e308, 1.7e308), f64::MAX);
    }

    #[test]
    fn a_spec_names_labels_and_knows_their_classes() {
        let spec = TaskSpec::of_labels(Some(text()));
        assert_eq!(
            (spec.name(1.0), spec.class(1.0)),
            ("yes".to_owned(), Some(1))
        );
        assert_eq!((spec.name(5.0), spec.class(5.0)), ("5".to_owned(), None));
        let bare = TaskSpec::of_labels(None);
        assert_eq!(
            (bare.class(3.0), bare.class(0.5), bare.class(-1.0)),
            (Some(3), None, None)
        );
        assert!(spec.agrees(&bare) && !spec.agrees(&TaskSpec::default()));
    }

    #[test]
    fn doubled_labels_are_refused() {
        let twice = Labels::Text(vec!["a".to_owned(), "a".to_owned()]);
        assert_eq!(
            check_labels(&twice).unwrap_err().to_string(),
            "label `a` is there twice"
        );
    }
}
