//! The quality of a model in a few numbers, updated row by row.
//!
//! Promise: neither a large offset nor 10^8 rows cost digits (see [`Moments`]); what is undefined is `None`.
//!
//! The baseline is "always predict the mean of `y_true`". Its squared errors (`baseline_rmse`, the denominator of R2)
//! use the mean of all rows, as scikit-learn's `r2_score` does. A mean of *absolute* errors against the final mean
//! would need every row again, so `baseline_mae` is prequential: each truth is compared with the mean of the truths before
//! it, from the second row on. For rows in random order both agree to O(log n / n). For merged summaries it is the mean over
//! the rows of all parts.

use serde::Serialize;

use super::{
    interval::{Interval, mean_interval},
    moments::{Moments, as_f64},
    quantiles::Quantiles,
};

/// A pair whose error is larger than this counts as not finite: its square and the range would overflow.
pub(super) const ERROR_MAX: f64 = 1e300;

/// The running summary of pairs (`y_true`, `y_pred`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    non_finite: u64,
    error: Moments,
    absolute: Moments,
    truth: Moments,
    baseline_sum: f64,
    /// Rows that have a baseline error: all but the first of each part.
    baseline_n: u64,
    quantiles: Quantiles,
}

/// What a summary says, in the units of the target. `None` where a number is undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Pairs summarised.
    pub n: u64,
    /// Pairs left out because they, or their error, are not finite.
    pub non_finite: u64,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Its 95 % interval, from two rows on.
    pub mae_interval: Option<Interval>,
    /// Root mean squared error.
    pub rmse: Option<f64>,
    /// Mean of `y_pred - y_true`.
    pub bias: Option<f64>,
    /// Coefficient of determination; undefined for a constant truth.
    pub r2: Option<f64>,
    /// The largest absolute error.
    pub max_absolute_error: Option<f64>,
    /// Median of the absolute error.
    pub p50: Option<f64>,
    /// 95 % quantile of the absolute error.
    pub p95: Option<f64>,
    /// 99 % quantile of the absolute error.
    pub p99: Option<f64>,
    /// Mean of `y_true`.
    pub truth_mean: Option<f64>,
    /// MAE of predicting the mean of the truths seen before; from two rows on.
    pub baseline_mae: Option<f64>,
    /// RMSE of predicting the mean of all truths.
    pub baseline_rmse: Option<f64>,
}

impl Report {
    /// Leaves out what means nothing if the error is 0 or 1; the mean is then the share of wrong labels.
    #[must_use]
    pub fn of_labels(self) -> Self {
        Self {
            n: self.n,
            non_finite: self.non_finite,
            mae: self.mae,
            mae_interval: self.mae_interval,
            ..Self::default()
        }
    }
}

impl Summary {
    /// An empty summary.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one pair; returns its signed error, or `None` if it was not finite and so only counted.
    #[inline]
    pub fn push(&mut self, y_true: f64, y_pred: f64) -> Option<f64> {
        let error = y_pred - y_true;
        // If either is infinite or NaN, the comparison is false.
        if !(error.abs() <= ERROR_MAX && y_true.abs() <= ERROR_MAX) {
            self.non_finite += 1;
            return None;
        }
        if self.truth.n() > 0 {
            self.baseline_sum += (y_true - self.truth.mean()).abs();
            self.baseline_n += 1;
        }
        self.error.push(error);
        self.absolute.push(error.abs());
        self.truth.push(y_true);
        self.quantiles.push(error.abs());
        Some(error)
    }

    /// Adds all pairs of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.error.merge(&other.error);
        self.absolute.merge(&other.absolute);
        self.truth.merge(&other.truth);
        self.quantiles.merge(&other.quantiles);
        self.baseline_sum += other.baseline_sum;
        self.baseline_n += other.baseline_n;
        self.non_finite += other.non_finite;
    }

    /// Pairs summarised.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.truth.n()
    }

    /// Of `y_pred - y_true`.
    #[must_use]
    pub fn error(&self) -> &Moments {
        &self.error
    }

    /// Of the absolute error.
    #[must_use]
    pub fn absolute(&self) -> &Moments {
        &self.absolute
    }

    /// Mean absolute error.
    #[must_use]
    pub fn mae(&self) -> Option<f64> {
        self.defined(self.absolute.mean())
    }

    /// Root mean squared error.
    #[must_use]
    pub fn rmse(&self) -> Option<f64> {
        // A sum of two positive terms, so no digits cancel; the mean is not squared here, so nothing overflows.
        self.defined(
            (self.absolute.m2() / as_f64(self.n()))
                .sqrt()
                .hypot(self.absolute.mean()),
        )
    }

    /// Mean of `y_pred - y_true`.
    #[must_use]
    pub fn bias(&self) -> Option<f64> {
        self.defined(self.error.mean())
    }

    /// Coefficient of determination; `None` for a constant truth.
    #[must_use]
    pub fn r2(&self) -> Option<f64> {
        if self.truth.is_constant() {
            return None;
        }
        let ratio = self.rmse()? / self.baseline_rmse()?;
        self.defined(1.0 - ratio * ratio)
    }

    /// RMSE of predicting the mean of all truths, which is their standard deviation.
    #[must_use]
    pub fn baseline_rmse(&self) -> Option<f64> {
        self.defined((self.truth.m2() / as_f64(self.n())).sqrt())
    }

    /// MAE of predicting the mean of the truths seen before.
    #[must_use]
    pub fn baseline_mae(&self) -> Option<f64> {
        let mean = self.baseline_sum / as_f64(self.baseline_n);
        mean.is_finite().then_some(mean)
    }

    /// Quantiles of the absolute error.
    #[must_use]
    pub fn quantiles(&self) -> &Quantiles {
        &self.quantiles
    }

    /// All of it, to be shown or sent.
    #[must_use]
    pub fn report(&self) -> Report {
        let quantiles = self.quantiles.quantiles([0.5, 0.95, 0.99]);
        Report {
            n: self.n(),
            non_finite: self.non_finite,
            mae: self.mae(),
            mae_interval: self
                .absolute
                .std()
                .and_then(|std| mean_interval(self.n(), self.absolute.mean(), std)),
            rmse: self.rmse(),
            bias: self.bias(),
            r2: self.r2(),
            max_absolute_error: self.defined(self.absolute.max()),
            p50: quantiles.map(|[p50, _, _]| p50),
            p95: quantiles.map(|[_, p95, _]| p95),
            p99: quantiles.map(|[_, _, p99]| p99),
            truth_mean: self.defined(self.truth.mean()),
            baseline_mae: self.baseline_mae(),
            baseline_rmse: self.baseline_rmse(),
        }
    }

    fn defined(&self, value: f64) -> Option<f64> {
        (self.n() > 0 && value.is_finite()).then_some(value)
    }
}

impl Extend<(f64, f64)> for Summary {
    fn extend<I: IntoIterator<Item = (f64, f64)>>(&mut self, pairs: I) {
        for (y_true, y_pred) in pairs {
            self.push(y_true, y_pred);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> Summary {
        let mut summary = Summary::new();
        summary.extend(pairs.iter().copied());
        summary
    }

    #[track_caller]
    fn close(actual: Option<f64>, expected: f64) {
        let actual = actual.unwrap();
        assert!(
            (actual - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{actual} {expected}"
        );
    }

    #[test]
    fn a_hand_computed_example() {
        let report = of(&[(3.0, 2.5), (-0.5, 0.0), (2.0, 2.0), (7.0, 8.0)]).report();
        assert_eq!(report.n, 4);
        close(report.mae, 0.5);
        close(report.rmse, 0.375_f64.sqrt());
        close(report.bias, 0.25);
        // scikit-learn's documentation uses these four rows: r2_score is 0.948...
        close(report.r2, 0.948_608_137_044_967_9);
        close(report.max_absolute_error, 1.0);
        close(report.p50, 0.5);
        close(report.truth_mean, 2.875);
        // |-0.5 - 3|, |2 - 1.25|, |7 - 1.5|
        close(report.baseline_mae, (3.5 + 0.75 + 5.5) / 3.0);
        // std 0.408248..., t(3) 3.18245
        close(
            report.mae_interval.map(|i| i.high),
            0.5 + 3.182_45 * (1.0_f64 / 6.0).sqrt() / 2.0,
        );
    }

    #[test]
    fn no_rows_have_no_numbers() {
        assert_eq!(Summary::new().report(), Report::default());
    }

    #[test]
    fn one_row_has_an_error_but_no_interval_baseline_or_r2() {
        let report = of(&[(2.0, 5.0)]).report();
        close(report.mae, 3.0);
        close(report.rmse, 3.0);
        close(report.bias, 3.0);
        close(report.p99, 3.0);
        assert_eq!(
            (report.mae_interval, report.baseline_mae, report.r2),
            (None, None, None)
        );
    }

    #[test]
    fn a_constant_truth_has_no_r2() {
        let summary = of(&[(0.1, 0.0); 7]);
        assert_eq!(summary.r2(), None);
        close(summary.rmse(), 0.1);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let mut summary = of(&[(1.0, 2.0)]);
        let before = summary.report();
        for (y_true, y_pred) in [
            (f64::NAN, 1.0),
            (1.0, f64::NAN),
            (f64::INFINITY, f64::INFINITY),
            (1.0, f64::NEG_INFINITY),
            (-1.7e308, 1.7e308),
            (1.5e308, 1.5e308),
        ] {
            assert_eq!(summary.push(y_true, y_pred), None);
        }
        assert_eq!(
            summary.report(),
            Report {
                non_finite: 6,
                ..before
            }
        );
    }

    #[test]
    fn huge_errors_never_become_text_like_nan() {
        let report = of(&[(0.0, 9e299), (0.0, 1.0), (1.0, 0.0)]).report();
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains("NaN") && !json.contains("inf"), "{json}");
        assert!(report.rmse.is_none_or(|rmse| rmse > 1e299));
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let pairs: Vec<(f64, f64)> = (0..10_000_u32)
            .map(|i| (f64::from(i.wrapping_mul(7919) % 1000), f64::from(i % 977)))
            .collect();
        let whole = of(&pairs).report();
        let mut merged = of(&pairs[..3000]);
        merged.merge(&of(&pairs[3000..3001]));
        merged.merge(&Summary::new());
        merged.merge(&of(&pairs[3001..]));
        let merged = merged.report();
        assert_eq!(
            (merged.n, merged.p50, merged.p99),
            (whole.n, whole.p50, whole.p99)
        );
        close(merged.mae, whole.mae.unwrap());
        close(merged.rmse, whole.rmse.unwrap());
        close(merged.r2, whole.r2.unwrap());
        close(merged.bias, whole.bias.unwrap());
    }
}
