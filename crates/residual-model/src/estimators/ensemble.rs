//! Estimators made of other estimators: voting, bagging, stacking, `AdaBoost`.

use super::estimator::Estimator;
use super::proba::{decide, most_likely, second_of_two, softmax};
use crate::error::ModelError;
use crate::form::{self, Averaging, StackMethod};
use crate::labels::Labels;
use crate::numeric::to_usize;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// For each class of `part`, its index among the classes of `whole`.
pub(super) fn match_classes(part: &Labels, whole: &Labels) -> Result<Vec<usize>, ModelError> {
    let same_label: Option<Vec<usize>> = match (part, whole) {
        (Labels::Text(part), Labels::Text(whole)) => part
            .iter()
            .map(|label| whole.iter().position(|other| other == label))
            .collect(),
        (Labels::Numbers(_), Labels::Text(_)) => None,
        _ => (0..part.len())
            .map(|index| whole.index(part.value(index)))
            .collect(),
    };
    same_label
        .or_else(|| encoded_classes(part, whole))
        .ok_or_else(|| ModelError::store("the classes of a member are not those of the whole"))
}

/// The same for a member whose labels are the indices 0, 1, 2, ..., as many ensembles fit their members.
fn encoded_classes(part: &Labels, whole: &Labels) -> Option<Vec<usize>> {
    (0..part.len())
        .map(|index| to_usize(part.value(index)).filter(|place| *place < whole.len()))
        .collect()
}

/// A member, the columns that it sees, and the index of each of its classes among those of the ensemble.
#[derive(Debug)]
pub(super) struct Member {
    columns: Option<Vec<usize>>,
    estimator: Box<dyn Estimator>,
    places: Vec<usize>,
}

impl Member {
    /// A member that was fitted on encoded labels, or on none.
    pub(super) fn new(
        columns: Option<&[usize]>,
        estimator: Box<dyn Estimator>,
        classes: Option<&Labels>,
    ) -> Result<Self, ModelError> {
        let places = match (estimator.classes(), classes) {
            (Some(part), Some(whole)) => encoded_classes(part, whole)
                .ok_or_else(|| ModelError::store("the classes of a member are not encoded"))?,
            (None, None) => vec![],
            _ => return Err(ModelError::store("a regressor and a classifier are mixed")),
        };
        Ok(Self {
            columns: columns.map(<[_]>::to_vec),
            estimator,
            places,
        })
    }

    fn ask<T>(&self, rows: &Rows, ask: impl FnOnce(&dyn Estimator, &Rows) -> T) -> T {
        match &self.columns {
            Some(columns) => ask(self.estimator.as_ref(), &rows.select_columns(columns)),
            None => ask(self.estimator.as_ref(), rows),
        }
    }

    /// For each row the index of its label among the classes of the ensemble.
    fn labels(&self, rows: &Rows) -> Result<Vec<usize>, ModelError> {
        let own = self
            .estimator
            .classes()
            .ok_or_else(|| ModelError::store("a member is no classifier"))?;
        let labels = self.ask(rows, |estimator, rows| estimator.predict(rows))?;
        let place = |label: f64| own.index(label).map(|index| self.places[index]);
        labels
            .into_iter()
            .map(place)
            .collect::<Option<_>>()
            .ok_or_else(|| ModelError::store("a member gives an unknown label"))
    }
}

/// `VotingRegressor`, `VotingClassifier`, `BaggingRegressor` and `BaggingClassifier`.
#[derive(Debug)]
pub(super) struct Average {
    width: usize,
    members: Vec<Member>,
    weights: Vec<f64>,
    averaging: Averaging,
    classes: Option<Labels>,
}

impl Average {
    pub(super) fn new(
        form: &form::Average,
        members: Vec<Member>,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        if members.is_empty() || (form.averaging == Averaging::Mean) != form.classes.is_none() {
            return Err(ModelError::store("the members of an average do not fit"));
        }
        let weights = match &form.weights {
            Some(key) => tensors.vector(key, members.len())?.to_vec(),
            None => vec![1.0; members.len()],
        };
        Ok(Self {
            width,
            members,
            weights,
            averaging: form.averaging,
            classes: form.classes.clone(),
        })
    }

    /// Weighted sum over the members, `[n, 1]` or `[n, classes]`.
    fn sum(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let columns = self.classes.as_ref().map_or(1, Labels::len);
        let mut sum = Rows::zeros(rows.n_rows(), columns);
        for (member, weight) in self.members.iter().zip(&self.weights) {
            let proba = if self.averaging == Averaging::Proba {
                member.ask(rows, |estimator, rows| estimator.predict_proba(rows))
            } else {
                None
            };
            if self.averaging == Averaging::Mean {
                let values = member.ask(rows, |estimator, rows| estimator.predict(rows))?;
                sum.as_mut_slice()
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value * weight);
            } else if let Some(proba) = proba {
                for (index, proba) in proba?.iter().enumerate() {
                    let row = sum.row_mut(index);
                    proba
                        .iter()
                        .zip(&member.places)
                        .for_each(|(p, place)| row[*place] += p * weight);
                }
            } else {
                for (index, place) in member.labels(rows)?.into_iter().enumerate() {
                    sum.row_mut(index)[place] += weight;
                }
            }
        }
        Ok(sum)
    }

    fn mean(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut mean = self.sum(rows)?;
        let total: f64 = self.weights.iter().sum();
        mean.as_mut_slice()
            .iter_mut()
            .for_each(|value| *value /= total);
        Ok(mean)
    }
}

impl Estimator for Average {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let mean = self.mean(rows)?;
        Ok(match &self.classes {
            Some(classes) => most_likely(&mean, classes),
            None => mean.into_values(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        (self.averaging == Averaging::Proba).then(|| self.mean(rows))
    }
}

/// `StackingRegressor` and `StackingClassifier`.
#[derive(Debug)]
pub(super) struct Stacking {
    width: usize,
    members: Vec<(Box<dyn Estimator>, StackMethod)>,
    passthrough: bool,
    final_estimator: Box<dyn Estimator>,
    classes: Option<Labels>,
}

/// Number of columns that a member gives to the final estimator.
pub(super) fn stacked_width(member: &dyn Estimator, method: StackMethod) -> usize {
    let classes = member.classes().map_or(0, Labels::len);
    match method {
        StackMethod::Predict => 1,
        StackMethod::PredictProba | StackMethod::DecisionFunction if classes == 2 => 1,
        StackMethod::PredictProba | StackMethod::DecisionFunction => classes,
    }
}

impl Stacking {
    pub(super) fn new(
        form: &form::Stacking,
        members: Vec<(Box<dyn Estimator>, StackMethod)>,
        final_estimator: Box<dyn Estimator>,
        width: usize,
    ) -> Result<Self, ModelError> {
        let classes = form.classes.clone();
        if final_estimator.classes().map(Labels::len) != classes.as_ref().map(Labels::len) {
            return Err(ModelError::store(
                "the last of the stack does not fit the classes",
            ));
        }
        Ok(Self {
            width,
            members,
            passthrough: form.passthrough,
            final_estimator,
            classes,
        })
    }

    fn stacked(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let missing = || ModelError::store("a member cannot answer as it was asked when stacked");
        let mut parts = vec![];
        for (member, method) in &self.members {
            parts.push(match method {
                StackMethod::Predict => Rows::new(1, member.predict(rows)?)?,
                StackMethod::DecisionFunction => {
                    member.decision_function(rows).ok_or_else(missing)??
                }
                StackMethod::PredictProba => {
                    second_of_two(member.predict_proba(rows).ok_or_else(missing)??)
                }
            });
        }
        if self.passthrough {
            parts.push(rows.clone());
        }
        Ok(Rows::hstack(rows.n_rows(), &parts))
    }
}

impl Estimator for Stacking {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let predictions = self.final_estimator.predict(&self.stacked(rows)?)?;
        let (Some(classes), Some(own)) = (&self.classes, self.final_estimator.classes()) else {
            return Ok(predictions);
        };
        Ok(predictions
            .into_iter()
            .map(|label| {
                own.index(label)
                    .map_or(f64::NAN, |index| classes.value(index))
            })
            .collect())
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        match self.stacked(rows) {
            Ok(rows) => self.final_estimator.predict_proba(&rows),
            Err(error) => Some(Err(error)),
        }
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        match self.stacked(rows) {
            Ok(rows) => self.final_estimator.decision_function(&rows),
            Err(error) => Some(Err(error)),
        }
    }
}

/// `AdaBoostRegressor`.
#[derive(Debug)]
pub(super) struct WeightedMedian {
    pub(super) width: usize,
    pub(super) members: Vec<Box<dyn Estimator>>,
    pub(super) weights: Vec<f64>,
}

impl Estimator for WeightedMedian {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let predictions = self
            .members
            .iter()
            .map(|member| member.predict(rows))
            .collect::<Result<Vec<_>, _>>()?;
        let total: f64 = self.weights.iter().sum();
        let median = |row: usize| {
            let mut order: Vec<usize> = (0..predictions.len()).collect();
            order.sort_by(|a, b| predictions[*a][row].total_cmp(&predictions[*b][row]));
            let mut sum = 0.0;
            let found = order.iter().find(|member| {
                sum += self.weights[**member];
                sum >= 0.5 * total
            });
            predictions[*found.unwrap_or(&order[order.len() - 1])][row]
        };
        Ok((0..rows.n_rows()).map(median).collect())
    }
}

/// `AdaBoostClassifier`.
#[derive(Debug)]
pub(super) struct AdaBoost {
    width: usize,
    members: Vec<(Box<dyn Estimator>, Vec<usize>)>,
    weights: Vec<f64>,
    samme_r: bool,
    negative_votes: bool,
    classes: Labels,
}

impl AdaBoost {
    pub(super) fn new(
        form: &form::AdaBoost,
        members: Vec<Box<dyn Estimator>>,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let weights = tensors.vector(&form.weights, members.len())?.to_vec();
        let classes = form.classes.clone();
        let mut parts = vec![];
        for member in members {
            let places = match_classes(
                member
                    .classes()
                    .ok_or_else(|| ModelError::store("a member is no classifier"))?,
                &classes,
            )?;
            if form.samme_r && places.len() != classes.len() {
                return Err(ModelError::store("a member does not know all classes"));
            }
            parts.push((member, places));
        }
        if classes.len() < 2 {
            return Err(ModelError::store("boosting needs two classes"));
        }
        Ok(Self {
            width,
            members: parts,
            weights,
            samme_r: form.samme_r,
            negative_votes: form.negative_votes,
            classes,
        })
    }

    /// One score for each class, or a single score for two.
    fn decisions(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let count = self.classes.len();
        let mut sum = Rows::zeros(rows.n_rows(), count);
        for ((member, places), weight) in self.members.iter().zip(&self.weights) {
            if self.samme_r {
                let proba = member
                    .predict_proba(rows)
                    .ok_or_else(|| ModelError::store("a member has no probabilities"))??;
                for (index, proba) in proba.iter().enumerate() {
                    add_samme_r(proba, places, sum.row_mut(index));
                }
                continue;
            }
            let own = member
                .classes()
                .ok_or_else(|| ModelError::store("a member is no classifier"))?;
            #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
            let against = if self.negative_votes {
                -1.0 / (count as f64 - 1.0) * weight
            } else {
                0.0
            };
            for (index, label) in member.predict(rows)?.into_iter().enumerate() {
                let place = own.index(label).map(|own| places[own]);
                for (class, sum) in sum.row_mut(index).iter_mut().enumerate() {
                    *sum += if Some(class) == place {
                        *weight
                    } else {
                        against
                    };
                }
            }
        }
        let total: f64 = self.weights.iter().sum();
        sum.as_mut_slice()
            .iter_mut()
            .for_each(|value| *value /= total);
        if count == 2 {
            return Rows::new(1, sum.iter().map(|row| row[1] - row[0]).collect());
        }
        Ok(sum)
    }
}

/// Adds the term of SAMME.R for one row: log-probabilities less their mean.
fn add_samme_r(proba: &[f64], places: &[usize], sum: &mut [f64]) {
    #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
    let count = sum.len() as f64;
    let logs: Vec<f64> = proba.iter().map(|p| p.max(f64::EPSILON).ln()).collect();
    let mean = 1.0 / count * logs.iter().sum::<f64>();
    logs.iter()
        .zip(places)
        .for_each(|(log, place)| sum[*place] += (count - 1.0) * (log - mean));
}

impl Estimator for AdaBoost {
    fn n_features(&self) -> usize {
        self.width
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(decide(&self.decisions(rows)?, &self.classes))
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        let count = self.classes.len();
        #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
        let scale = count as f64 - 1.0;
        Some(self.decisions(rows).and_then(|decisions| {
            let scores = if count == 2 {
                decisions
                    .as_slice()
                    .iter()
                    .flat_map(|d| [-d / 2.0, d / 2.0])
                    .collect()
            } else {
                decisions.as_slice().iter().map(|d| d / scale).collect()
            };
            let mut proba = Rows::new(count, scores)?;
            proba.iter_mut().for_each(softmax);
            Ok(proba)
        }))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.decisions(rows))
    }
}
