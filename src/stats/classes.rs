//! How often a classifier is right: accuracy, F1, and the confusion matrix.
//!
//! Promises: accuracy and F1 equal scikit-learn's `accuracy_score` and `f1_score` of the same rows; memory is bounded: at
//! most [`CLASSES_MAX`] classes are counted, and [`MATRIX_CLASSES_MAX`] of them have a row in the confusion matrix, where the
//! rest are "others". Deliberately absent: the log-loss, which needs more than a row of the log (see [`super::LogLosses`]).

use std::collections::HashMap;

use serde::Serialize;

use crate::task::{CLASSES_MAX, Labels, TaskSpec};

/// Classes with a row and a column of their own in the confusion matrix.
pub const MATRIX_CLASSES_MAX: usize = 32;

/// The classes of a log by number: the known labels in their order, then others in the order in which they appear.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    labels: Vec<f64>,
    numbers: HashMap<u64, u32>,
    /// Whether the known labels are exactly 0 and 1; none if the labels are not known.
    is_binary: Option<bool>,
}

/// Number of every class beyond [`CLASSES_MAX`].
#[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
const BEYOND: u32 = CLASSES_MAX as u32;

impl Classes {
    /// The classes whose labels are known.
    #[must_use]
    pub fn new(spec: &TaskSpec) -> Self {
        let mut classes = Self::default();
        if let Some(labels) = &spec.labels {
            for index in 0..labels.len() {
                classes.number(labels.value(index));
            }
            classes.is_binary = Some(is_zero_and_one(labels));
        }
        classes
    }

    /// The number of a label; an unknown label gets the next one, while there is room.
    fn number(&mut self, label: f64) -> u32 {
        // 0.0 and -0.0 are the same label.
        let label = if label == 0.0 { 0.0 } else { label };
        if let Some(number) = self.numbers.get(&label.to_bits()) {
            return *number;
        }
        let Ok(number @ 0..BEYOND) = u32::try_from(self.labels.len()) else {
            return BEYOND;
        };
        self.labels.push(label);
        self.numbers.insert(label.to_bits(), number);
        number
    }

    /// A row as numbers of classes.
    pub fn pair(&mut self, y_true: f64, y_pred: f64) -> ClassPair {
        ClassPair {
            is_right: y_true == y_pred,
            truth: self.number(y_true),
            prediction: self.number(y_pred),
        }
    }
}

fn is_zero_and_one(labels: &Labels) -> bool {
    matches!(labels, Labels::Numbers(numbers) if numbers.as_slice() == [0.0, 1.0])
}

/// The classes of a row's truth and prediction.
#[derive(Clone, Copy, Debug)]
pub struct ClassPair {
    is_right: bool,
    truth: u32,
    prediction: u32,
}

/// What F1 needs of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct ClassCount {
    /// Rows of the class that were predicted as such.
    true_positives: u64,
    /// Rows of the class.
    support: u64,
    /// Rows that were predicted as the class.
    predicted: u64,
}

impl ClassCount {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn f1(self) -> f64 {
        let all = self.support + self.predicted;
        if all == 0 {
            return 0.0;
        }
        2.0 * self.true_positives as f64 / all as f64
    }
}

/// The counts by class from which accuracy and F1 are computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreCounts {
    n: u64,
    right: u64,
    counts: Vec<ClassCount>,
    /// Some class was beyond the bound, so an average over all classes is not known.
    is_over: bool,
}

impl ScoreCounts {
    /// Adds a row.
    pub fn push(&mut self, pair: ClassPair) {
        self.n += 1;
        self.right += u64::from(pair.is_right);
        if pair.truth == BEYOND || pair.prediction == BEYOND {
            self.is_over = true;
        }
        self.count(pair.truth).support += 1;
        self.count(pair.prediction).predicted += 1;
        self.count(pair.truth).true_positives += u64::from(pair.is_right);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.right += other.right;
        self.is_over |= other.is_over;
        for (number, count) in (0..).zip(&other.counts) {
            let mine = self.count(number);
            mine.true_positives += count.true_positives;
            mine.support += count.support;
            mine.predicted += count.predicted;
        }
    }

    fn count(&mut self, number: u32) -> &mut ClassCount {
        let place = number as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, ClassCount::default());
        }
        &mut self.counts[place]
    }

    /// The numbers to be shown or sent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn report(&self, classes: &Classes) -> Score {
        if self.n == 0 {
            return Score::default();
        }
        let (f1, average) = self.f1(classes).unzip();
        let most = self.counts.iter().map(|count| count.support).max();
        let most = most.unwrap_or(0);
        Score {
            n: self.n,
            right: self.right,
            accuracy: Some(self.right as f64 / self.n as f64),
            f1,
            average,
            baseline_accuracy: Some(most as f64 / self.n as f64),
        }
    }

    /// Of the class 1 if the labels are 0 and 1, else the mean over all classes that occur.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    fn f1(&self, classes: &Classes) -> Option<(f64, Average)> {
        let occurs = |(_, count): &(usize, &ClassCount)| count.support + count.predicted > 0;
        let seen: Vec<_> = self.counts.iter().enumerate().filter(occurs).collect();
        let label = |place: usize| classes.labels.get(place).copied();
        let only_zero_and_one = seen
            .iter()
            .all(|(place, _)| matches!(label(*place), Some(0.0 | 1.0)));
        if only_zero_and_one && classes.is_binary.unwrap_or(true) {
            let positive = seen.iter().find(|(place, _)| label(*place) == Some(1.0));
            return Some((
                positive.map_or(0.0, |(_, count)| count.f1()),
                Average::Binary,
            ));
        }
        if self.is_over {
            return None;
        }
        let sum: f64 = seen.iter().map(|(_, count)| count.f1()).sum();
        Some((sum / seen.len() as f64, Average::Macro))
    }
}

/// How an F1 is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// Not at all: it is that of the positive class 1.
    Binary,
    /// The plain mean over all classes, whatever their size.
    Macro,
}

impl Average {
    /// As scikit-learn calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Macro => "macro",
        }
    }
}

/// How often a classifier is right.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Rows.
    pub n: u64,
    /// Rows with the right label.
    pub right: u64,
    /// Their share.
    pub accuracy: Option<f64>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// How it is averaged.
    pub average: Option<Average>,
    /// The accuracy of always predicting the most frequent true label.
    pub baseline_accuracy: Option<f64>,
}

/// Counts rows by true and predicted class; a class without a row and a column of its own counts as one of the others.
#[derive(Clone, Debug, Default)]
pub struct Confusion {
    cells: HashMap<(u32, u32), u64>,
}

/// Number of the others in a confusion matrix.
#[expect(clippy::cast_possible_truncation, reason = "a few dozen")]
const OTHERS: u32 = MATRIX_CLASSES_MAX as u32;

impl Confusion {
    /// Adds a row.
    pub fn push(&mut self, pair: ClassPair) {
        let cell = (pair.truth.min(OTHERS), pair.prediction.min(OTHERS));
        *self.cells.entry(cell).or_default() += 1;
    }

    /// The matrix with names, in the order of the labels.
    #[must_use]
    pub fn matrix(&self, classes: &Classes, spec: &TaskSpec) -> Matrix {
        let known = u32::try_from(classes.labels.len().min(MATRIX_CLASSES_MAX)).unwrap_or(OTHERS);
        let mut shown: Vec<u32> = (0..known).collect();
        shown.sort_by(|a, b| classes.labels[*a as usize].total_cmp(&classes.labels[*b as usize]));
        let mut names: Vec<_> = shown
            .iter()
            .map(|number| spec.name(classes.labels[*number as usize]))
            .collect();
        let has_others = self.cells.keys().any(|(a, b)| *a == OTHERS || *b == OTHERS);
        if has_others {
            shown.push(OTHERS);
            names.push("others".to_owned());
        }
        let cell = |truth: u32, prediction: u32| {
            self.cells.get(&(truth, prediction)).copied().unwrap_or(0)
        };
        let counts = shown
            .iter()
            .map(|truth| {
                shown
                    .iter()
                    .map(|prediction| cell(*truth, *prediction))
                    .collect()
            })
            .collect();
        Matrix {
            labels: names,
            counts,
            has_others,
        }
    }
}

/// A confusion matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Matrix {
    /// Names of the classes, and `others` last where some have no row of their own.
    pub labels: Vec<String>,
    /// Rows by true class, of columns by predicted class.
    pub counts: Vec<Vec<u64>>,
    /// Whether the last label is that of all others.
    pub has_others: bool,
}

impl Matrix {
    /// For each true class with its name: rows with the right label, and rows with a wrong one. The others are left out,
    /// because which of them are right is not known.
    #[must_use]
    pub fn right_and_wrong(&self) -> Vec<(&str, u64, u64)> {
        let own = self.labels.len() - usize::from(self.has_others);
        let counts = self.labels.iter().zip(&self.counts).enumerate().take(own);
        counts
            .map(|(place, (label, row))| {
                let right = row[place];
                (label.as_str(), right, row.iter().sum::<u64>() - right)
            })
            .collect()
    }
}

/// What the picture of a classifier's log shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassShape {
    /// Over the rows of the picture.
    #[serde(flatten)]
    pub score: Score,
    /// Over the same rows.
    pub confusion: Matrix,
}

/// Score and confusion matrix, updated row by row.
#[derive(Clone, Debug)]
pub struct ClassCounts {
    spec: TaskSpec,
    classes: Classes,
    score_counts: ScoreCounts,
    confusion: Confusion,
}

impl ClassCounts {
    /// Nothing counted yet; none for a regression.
    #[must_use]
    pub fn new(spec: &TaskSpec) -> Option<Self> {
        spec.is_classification().then(|| Self {
            spec: spec.clone(),
            classes: Classes::new(spec),
            score_counts: ScoreCounts::default(),
            confusion: Confusion::default(),
        })
    }

    /// Adds a row; returns it as numbers of classes.
    pub fn push(&mut self, y_true: f64, y_pred: f64) -> ClassPair {
        let pair = self.classes.pair(y_true, y_pred);
        self.score_counts.push(pair);
        self.confusion.push(pair);
        pair
    }

    /// The score of other counts of the same classes.
    #[must_use]
    pub fn score_of(&self, score_counts: &ScoreCounts) -> Score {
        score_counts.report(&self.classes)
    }

    /// The score and the confusion matrix.
    #[must_use]
    pub fn shape(&self) -> ClassShape {
        ClassShape {
            score: self.score_counts.report(&self.classes),
            confusion: self.confusion.matrix(&self.classes, &self.spec),
        }
    }

    /// What the predictions are.
    #[must_use]
    pub fn spec(&self) -> &TaskSpec {
        &self.spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &TaskSpec, pairs: &[(f64, f64)]) -> ClassShape {
        let mut counts = ClassCounts::new(spec).unwrap();
        for (y_true, y_pred) in pairs {
            counts.push(*y_true, *y_pred);
        }
        counts.shape()
    }

    fn text() -> TaskSpec {
        let names = ["ant", "bee", "cat"].map(str::to_owned).to_vec();
        TaskSpec::of_labels(Some(Labels::Text(names)))
    }

    #[test]
    fn a_hand_counted_example() {
        let pairs = [
            (0.0, 0.0),
            (1.0, 1.0),
            (2.0, 1.0),
            (2.0, 2.0),
            (0.0, 2.0),
            (2.0, 2.0),
        ];
        let shape = of(&text(), &pairs);
        assert_eq!((shape.score.n, shape.score.right), (6, 4));
        assert_eq!(shape.score.baseline_accuracy, Some(0.5));
        // 2/3 of ant, 2/3 of bee, 4/6 of cat.
        assert!((shape.score.f1.unwrap() - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(shape.score.average, Some(Average::Macro));
        assert_eq!(shape.confusion.labels, ["ant", "bee", "cat"]);
        assert_eq!(shape.confusion.counts, [[1, 0, 1], [0, 1, 0], [0, 1, 2]]);
        assert_eq!(
            shape.confusion.right_and_wrong(),
            [("ant", 1, 1), ("bee", 1, 0), ("cat", 2, 1)]
        );
    }

    #[test]
    fn zero_and_one_are_binary_unless_they_stand_for_text() {
        let bare = TaskSpec::of_labels(None);
        let pairs = [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
        let score = of(&bare, &pairs).score;
        assert_eq!(
            (score.f1, score.average),
            (Some(2.0 / 3.0), Some(Average::Binary))
        );
        assert_eq!(of(&text(), &pairs).score.average, Some(Average::Macro));
        let none_positive = of(&bare, &[(0.0, 0.0)]).score;
        assert_eq!(
            (none_positive.f1, none_positive.accuracy),
            (Some(0.0), Some(1.0))
        );
        assert_eq!(of(&bare, &[(0.0, 2.0)]).score.average, Some(Average::Macro));
    }

    #[test]
    fn beyond_the_shown_classes_there_are_others_and_no_number_is_lost() {
        let spec = TaskSpec::of_labels(None);
        let pairs: Vec<_> = (0..100_u8)
            .map(|i| (f64::from(i), f64::from(i / 2 * 2)))
            .collect();
        let shape = of(&spec, &pairs);
        assert_eq!(shape.score.accuracy, Some(0.5));
        assert!((shape.score.f1.unwrap() - 50.0 * (2.0 / 3.0) / 100.0).abs() < 1e-12);
        assert_eq!(shape.confusion.labels.len(), MATRIX_CLASSES_MAX + 1);
        assert_eq!(shape.confusion.counts.iter().flatten().sum::<u64>(), 100);
        let many: Vec<_> = (0..6_000_u16)
            .map(|i| (f64::from(i), f64::from(i)))
            .collect();
        let score = of(&spec, &many).score;
        assert_eq!((score.accuracy, score.f1), (Some(1.0), None));
    }

    #[test]
    fn merged_tallies_equal_the_whole() {
        let mut counts = ClassCounts::new(&text()).unwrap();
        let (mut whole, mut first, mut second) =
            <(ScoreCounts, ScoreCounts, ScoreCounts)>::default();
        for i in 0..97_u32 {
            let pair = counts.push(f64::from(i % 3), f64::from(i * i % 3));
            whole.push(pair);
            if i % 2 == 0 {
                first.push(pair);
            } else {
                second.push(pair);
            }
        }
        first.merge(&second);
        assert_eq!(first, whole);
        assert_eq!(counts.score_of(&whole), counts.shape().score);
    }
}
