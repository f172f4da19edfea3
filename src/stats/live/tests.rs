//! Figures against a two-pass oracle, windows, bounds.

use proptest::prelude::*;

use super::*;

fn observation(y_true: f64, y_pred: f64, at_ms: u64) -> Observation<'static> {
    Observation {
        id: "a",
        y_true,
        y_pred,
        at_ms: Some(at_ms),
    }
}

fn live_of(pairs: &[(f64, f64)]) -> Live {
    let mut live = Live::new(Limits::default());
    for (y_true, y_pred) in pairs {
        live.push(&observation(*y_true, *y_pred, 1_000_000));
    }
    live
}

/// The textbook formulas over the whole set, in another order of operations.
#[expect(clippy::cast_precision_loss, reason = "few rows")]
fn oracle(pairs: &[(f64, f64)]) -> [f64; 4] {
    let n = pairs.len() as f64;
    let mean_of = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let mean_true = mean_of(&|(y, _)| *y);
    let squares = mean_of(&|(y, p)| (p - y).powi(2));
    let variance = mean_of(&|(y, _)| (y - mean_true).powi(2));
    [
        mean_of(&|(y, p)| (p - y).abs()),
        squares.sqrt(),
        mean_of(&|(y, p)| p - y),
        1.0 - squares / variance,
    ]
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn nothing_seen_gives_no_figure_and_no_nan() {
    let view = Live::new(Limits::default()).view(5);
    assert_eq!(view.all_time, Report::default());
    assert_eq!(
        (view.rows, view.last_row_ms, view.rows_per_second),
        (0, None, 0.0)
    );
    assert!(!serde_json::to_string(&view).unwrap().contains("NaN"));
}

#[test]
fn one_row_has_a_mean_but_no_interval_and_no_r2() {
    let report = live_of(&[(3.0, 5.0)]).view(1_000_000).all_time;
    assert_eq!(
        (report.n, report.mae, report.rmse, report.bias),
        (1, Some(2.0), Some(2.0), Some(2.0))
    );
    assert_eq!(
        (report.mae_interval, report.r2, report.baseline_mae),
        (None, None, None)
    );
}

#[test]
fn the_baseline_knows_only_what_came_before() {
    let report = live_of(&[(0.0, 0.0), (10.0, 10.0), (20.0, 17.0)])
        .view(1_000_000)
        .all_time;
    // The second row is judged by the mean 0, the third by the mean 5.
    assert_eq!(report.baseline_mae, Some(12.5));
}

#[test]
fn the_row_window_forgets_what_left_it() {
    let mut live = Live::new(Limits {
        window_rows: 3,
        ..Limits::default()
    });
    for error in [100.0, 1.0, 2.0, 3.0] {
        live.push(&observation(error, 0.0, 1));
    }
    let view = live.view(1);
    assert_eq!(
        (view.last_rows.report.n, view.last_rows.report.mae),
        (3, Some(2.0))
    );
    assert_eq!(view.last_rows.report.p50, Some(2.0));
    assert_eq!(view.worst_of_last_rows[0].absolute_error, 3.0);
    assert_eq!(view.worst[0].absolute_error, 100.0);
}

#[test]
fn the_time_window_forgets_by_time_alone() {
    let mut live = Live::new(Limits {
        window_ms: 60_000,
        ..Limits::default()
    });
    live.push(&observation(8.0, 0.0, 1_000_000));
    live.push(&observation(2.0, 0.0, 1_050_000));
    assert_eq!(live.view(1_050_000).recent.report.mae, Some(5.0));
    assert_eq!(live.view(1_070_000).recent.report.mae, Some(2.0));
    let later = live.view(1_200_000);
    assert_eq!(
        (
            later.recent.report.n,
            later.timeline.buckets.len(),
            later.rows_per_second
        ),
        (0, 0, 0.0)
    );
    assert_eq!(later.all_time.n, 2);
}

#[test]
fn rows_without_a_time_count_everywhere_but_by_time() {
    let mut live = Live::new(Limits::default());
    live.push(&Observation {
        at_ms: None,
        ..observation(1.0, 0.0, 0)
    });
    let view = live.view(9_000_000);
    assert_eq!(
        (view.rows, view.last_rows.report.n, view.recent.report.n),
        (1, 1, 0)
    );
    assert_eq!((view.last_row_ms, view.rows_per_second), (None, 0.0));
}

#[test]
fn the_rate_is_over_ten_seconds_or_since_the_first_row() {
    let mut live = Live::new(Limits::default());
    (0..100_u64).for_each(|row| live.push(&observation(1.0, 0.0, 1_000_000 + row * 20)));
    assert_eq!(live.view(1_002_000).rows_per_second, 50.0);
    (100..1_000_u64).for_each(|row| live.push(&observation(1.0, 0.0, 1_000_000 + row * 20)));
    let rate = live.view(1_020_000).rows_per_second;
    assert!((rate - 50.0).abs() < 2.0, "{rate}");
}

#[test]
fn the_history_coarsens_and_keeps_every_row() {
    let mut live = Live::new(Limits::default());
    for row in 0..100_000_u32 {
        live.push(&observation(f64::from(row), 0.0, 1));
    }
    let history = live.view(1).history;
    assert!(history.buckets.len() <= 128);
    assert_eq!(
        (history.from, history.to, history.step),
        (1, 100_000, 1_024)
    );
    assert_eq!(
        history.buckets.iter().map(|bucket| bucket.n).sum::<u64>(),
        100_000
    );
    assert_eq!(history.buckets[1].from, 1_025);
    assert_eq!(history.buckets[0].mae, 511.5);
}

#[test]
fn the_sample_is_uniform_bounded_and_the_same_for_the_same_seed() {
    let sample = |seed| {
        let mut live = Live::new(Limits {
            seed,
            ..Limits::default()
        });
        (0..50_000_u32).for_each(|row| live.push(&observation(f64::from(row), 0.0, 1)));
        live.view(1).sample
    };
    let pairs = sample(1);
    assert_eq!(pairs.len(), 500);
    assert_eq!(pairs, sample(1));
    assert_ne!(pairs, sample(2));
    let mean = pairs.iter().map(|pair| pair[0]).sum::<f64>() / 500.0;
    // The mean of 500 uniform draws from 0..50000 is 25000 with a standard deviation of 645.
    assert!((mean - 25_000.0).abs() < 4.0 * 645.0, "{mean}");
}

#[test]
fn the_worst_come_first_and_the_earlier_of_equals_stays() {
    let mut live = Live::new(Limits {
        worst_rows: 2,
        ..Limits::default()
    });
    for (id, y_true) in [("a", 1.0), ("b", 7.0), ("c", 7.0), ("d", 9.0)] {
        live.push(&Observation {
            id,
            y_true,
            y_pred: 0.0,
            at_ms: None,
        });
    }
    let ids: Vec<_> = live.view(0).worst.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["d", "b"]);
}

#[test]
fn a_window_is_compared_with_a_mean_learned_from_the_whole_log() {
    let mut live = Live::new(Limits {
        window_rows: 2,
        ..Limits::default()
    });
    for (y_true, at_ms) in [
        (0.0, 1_000_000),
        (0.0, 1_000_000),
        (9.0, 9_000_000),
        (9.0, 9_000_000),
    ] {
        live.push(&observation(y_true, 0.0, at_ms));
    }
    let view = live.view(9_000_000);
    // The mean is 0 before the third row and 3 before the fourth.
    assert_eq!(view.last_rows.report.baseline_mae, Some(7.5));
    assert_eq!(view.recent.report.baseline_mae, Some(7.5));
}

#[test]
fn huge_values_give_no_infinity() {
    let view = live_of(&[(f64::MAX, -f64::MAX), (-f64::MAX, f64::MAX), (1.0, 2.0)]).view(1_000_000);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(
        (&json["rows"], &json["all_time"]["n"]),
        (&3.into(), &1.into())
    );
    assert_eq!(view.worst[0].absolute_error, f64::MAX);
}

proptest! {
    #[test]
    fn figures_are_the_textbook_ones(
        pairs in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 2..300)
    ) {
        let view = live_of(&pairs).view(1_000_000);
        let expected = oracle(&pairs);
        for report in [view.all_time, view.last_rows.report, view.recent.report] {
            let got = [report.mae, report.rmse, report.bias, report.r2].map(Option::unwrap);
            for (got, expected) in got.into_iter().zip(expected) {
                prop_assert!(close(got, expected), "{} {}", got, expected);
            }
        }
    }
}
