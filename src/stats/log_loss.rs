//! The log-loss of a classifier: for all time, the last rows, and the last minutes.
//!
//! Promise: it equals scikit-learn's `log_loss` of the same rows; memory is bounded by the windows. Deliberately absent: a
//! clock.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Steps of the window of time.
const STEPS: u64 = 60;

/// The loss of one row, from the predicted probability of its true class.
#[must_use]
pub fn loss(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// A running mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogLoss {
    /// Rows that had probabilities.
    pub n: u64,
    /// The sum of their losses.
    pub sum: f64,
}

impl LogLoss {
    /// Adds the loss of a row.
    pub fn push(&mut self, loss: f64) {
        self.n += 1;
        self.sum += loss;
    }

    /// The mean; none without rows.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

/// The same for all time and over two windows.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLosses {
    all_time: LogLoss,
    rows_max: usize,
    rows: VecDeque<f64>,
    step_ms: u64,
    /// By number of the step since the epoch, ascending; at most [`STEPS`].
    steps: VecDeque<(u64, LogLoss)>,
}

impl LogLosses {
    /// No rows yet; the windows have so many rows, and so many milliseconds.
    #[must_use]
    pub fn new(window_rows: usize, window_ms: u64) -> Self {
        Self {
            all_time: LogLoss::default(),
            rows_max: window_rows.max(1),
            rows: VecDeque::new(),
            step_ms: (window_ms / STEPS).max(1),
            steps: VecDeque::new(),
        }
    }

    /// Continues from what was saved.
    pub fn resume(&mut self, all_time: LogLoss) {
        self.all_time = all_time;
    }

    /// Adds the loss of a row that was recorded at `at_ms`.
    pub fn push(&mut self, loss: f64, at_ms: u64) {
        self.all_time.push(loss);
        if self.rows.len() == self.rows_max {
            self.rows.pop_front();
        }
        self.rows.push_back(loss);
        let step = at_ms / self.step_ms;
        match self.steps.back_mut() {
            Some((newest, losses)) if *newest >= step => losses.push(loss),
            _ => {
                let mut losses = LogLoss::default();
                losses.push(loss);
                self.steps.push_back((step, losses));
            }
        }
        if self.steps.len() as u64 > STEPS {
            self.steps.pop_front();
        }
    }

    /// Over all rows.
    #[must_use]
    pub fn all_time(&self) -> LogLoss {
        self.all_time
    }

    /// Over the last rows.
    #[must_use]
    pub fn last_rows(&self) -> LogLoss {
        let mut losses = LogLoss::default();
        self.rows.iter().for_each(|loss| losses.push(*loss));
        losses
    }
}

impl LogLosses {
    /// What is reported of it: small, and still usable when time passes without rows.
    #[must_use]
    pub fn snapshot(&self) -> LossSnapshot {
        LossSnapshot {
            all_time: self.all_time,
            last_rows: self.last_rows(),
            step_ms: self.step_ms,
            steps: self.steps.iter().copied().collect(),
        }
    }
}

/// The log-loss at the time of a commit.
#[derive(Clone, Debug, PartialEq)]
pub struct LossSnapshot {
    /// Over all rows.
    pub all_time: LogLoss,
    /// Over the last rows.
    pub last_rows: LogLoss,
    step_ms: u64,
    steps: Vec<(u64, LogLoss)>,
}

impl LossSnapshot {
    /// Over the last minutes.
    #[must_use]
    pub fn recent(&self, now_ms: u64) -> LogLoss {
        recent(self.steps.iter(), self.step_ms, now_ms)
    }

    /// All of it, to be shown or sent.
    #[must_use]
    pub fn report(&self, now_ms: u64) -> LossReport {
        LossReport {
            all_time: self.all_time.into(),
            last_rows: self.last_rows.into(),
            recent: self.recent(now_ms).into(),
        }
    }
}

/// A classifier's log-loss over the rows whose predictions brought probabilities, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LossReport {
    /// Over all rows.
    pub all_time: LossFigure,
    /// Over the last rows.
    pub last_rows: LossFigure,
    /// Over the last minutes.
    pub recent: LossFigure,
}

/// A log-loss and the rows that it is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LossFigure {
    /// How many rows.
    pub n: u64,
    /// Their mean loss; none without rows.
    pub value: Option<f64>,
}

impl From<LogLoss> for LossFigure {
    fn from(loss: LogLoss) -> Self {
        Self {
            n: loss.n,
            value: loss.mean(),
        }
    }
}

fn recent<'a>(
    steps: impl Iterator<Item = &'a (u64, LogLoss)>,
    step_ms: u64,
    now_ms: u64,
) -> LogLoss {
    let oldest = (now_ms / step_ms).saturating_sub(STEPS - 1);
    let within = steps.filter(|(step, _)| *step >= oldest);
    within.fold(LogLoss::default(), |all, (_, losses)| LogLoss {
        n: all.n + losses.n,
        sum: all.sum + losses.sum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_scikit_learn_s_documentation() {
        let mut losses = LogLosses::new(2, 60_000);
        for (place, probability) in [0.9, 0.9, 0.8, 0.65].into_iter().enumerate() {
            losses.push(loss(probability), 1_000 * place as u64);
        }
        let all = losses.all_time().mean().unwrap();
        assert!((all - 0.216_161_874_688_678_8).abs() < 1e-5, "{all}");
        let last = losses.last_rows().mean().unwrap();
        assert!((last - f64::midpoint(loss(0.8), loss(0.65))).abs() < 1e-15);
    }

    #[test]
    fn a_certain_mistake_is_finite_and_nothing_is_none() {
        assert!((loss(0.0) - 36.043_653_389_117_15).abs() < 1e-12);
        assert!(loss(1.0) >= 0.0);
        assert_eq!(LogLoss::default().mean(), None);
    }

    #[test]
    fn the_window_of_time_forgets() {
        let mut losses = LogLosses::new(10, 60_000);
        losses.push(1.0, 0);
        losses.push(3.0, 30_000);
        assert_eq!(losses.snapshot().recent(30_000), LogLoss { n: 2, sum: 4.0 });
        assert_eq!(losses.snapshot().recent(60_000), LogLoss { n: 1, sum: 3.0 });
        assert_eq!(losses.snapshot().recent(600_000).mean(), None);
        assert_eq!(losses.all_time().n, 2);
    }
}
