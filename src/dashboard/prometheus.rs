//! The numbers of the page as gauges for Prometheus, set when they are asked for. An unknown number is `NaN`.

use metrics::gauge;

use super::snapshot::{BusState, LinkState, StatusSnapshot};
use crate::stats::{Average, LedgerSnapshot, Report, Score};

/// Sets every gauge to the numbers of this snapshot.
pub(super) fn set_gauges(snapshot: &StatusSnapshot) {
    let view = &snapshot.view;
    gauge!("residual_log_rows").set(as_f64(view.rows));
    gauge!("residual_rows_per_second").set(view.rows_per_second);
    gauge!("residual_last_row_age_seconds").set(or_nan(snapshot.silent_ms.map(seconds)));
    gauge!("residual_error_changes").set(as_f64(view.changes_seen));
    gauge!("residual_alert", "alert" => "mae").set(if snapshot.alert.is_some() {
        1.0
    } else {
        0.0
    });
    quality("all", &view.all_time);
    quality("rows", &view.last_rows.report);
    quality("time", &view.recent.report);
    if let Some(labels) = &view.classification {
        score("all", &labels.all_time);
        score("rows", &labels.last_rows);
        score("time", &labels.recent);
    }
    if let Some(ledger) = &snapshot.ledger {
        set_ledger(ledger);
    }
    if let Some(bus) = &snapshot.bus {
        set_bus(bus);
    }
}

/// `window` is `all`, `rows` (the last rows) or `time` (the last minutes).
fn quality(window: &'static str, report: &Report) {
    gauge!("residual_window_rows", "window" => window).set(as_f64(report.n));
    let interval = report.mae_interval;
    for (name, value) in [
        ("residual_mae", report.mae),
        ("residual_mae_low", interval.map(|interval| interval.low)),
        ("residual_mae_high", interval.map(|interval| interval.high)),
        ("residual_rmse", report.rmse),
        ("residual_bias", report.bias),
        ("residual_r2", report.r2),
        ("residual_absolute_error_max", report.max_absolute_error),
        ("residual_baseline_mae", report.baseline_mae),
        ("residual_baseline_rmse", report.baseline_rmse),
    ] {
        gauge!(name, "window" => window).set(or_nan(value));
    }
    for (quantile, value) in [
        ("0.5", report.p50),
        ("0.95", report.p95),
        ("0.99", report.p99),
    ] {
        gauge!("residual_absolute_error", "window" => window, "quantile" => quantile)
            .set(or_nan(value));
    }
}

/// Of a classification, where `residual_mae` is the share of wrong labels.
fn score(window: &'static str, score: &Score) {
    gauge!("residual_accuracy", "window" => window).set(or_nan(score.accuracy));
    gauge!("residual_baseline_accuracy", "window" => window).set(or_nan(score.baseline_accuracy));
    if let Some(average) = score.average.map(Average::name) {
        gauge!("residual_f1", "window" => window, "average" => average).set(or_nan(score.f1));
    }
}

fn set_ledger(ledger: &LedgerSnapshot) {
    if let Some(loss) = &ledger.log_loss {
        for (window, figure) in [
            ("all", &loss.all_time),
            ("rows", &loss.last_rows),
            ("time", &loss.recent),
        ] {
            gauge!("residual_log_loss", "window" => window).set(or_nan(figure.value));
            gauge!("residual_log_loss_rows", "window" => window).set(as_f64(figure.n));
        }
    }
    gauge!("residual_ledger_received").set(as_f64(ledger.counters.received));
    gauge!("residual_ledger_pending").set(as_f64(ledger.pending));
    for (state, halves) in ledger.counters.states() {
        gauge!("residual_ledger_state", "state" => state).set(as_f64(halves));
    }
    gauge!("residual_ledger_failing").set(if ledger.failing.is_some() { 1.0 } else { 0.0 });
    gauge!("residual_label_coverage").set(or_nan(ledger.coverage));
    for (quantile, delay_ms) in [
        ("0.5", ledger.label_delay_p50_ms),
        ("0.95", ledger.label_delay_p95_ms),
    ] {
        gauge!("residual_label_delay_quantile", "quantile" => quantile)
            .set(or_nan(delay_ms.map(seconds)));
    }
}

fn set_bus(bus: &BusState) {
    gauge!("residual_bus_up").set(if bus.link == LinkState::Up { 1.0 } else { 0.0 });
    for queue in &bus.queues {
        for (name, messages) in [
            ("residual_bus_ready", queue.ready),
            ("residual_bus_in_flight", queue.in_flight),
            ("residual_bus_dead", queue.dead),
        ] {
            let labels = [
                ("topic", queue.topic.clone()),
                ("group", queue.group.clone()),
            ];
            gauge!(name, &labels).set(as_f64(messages));
        }
    }
}

fn or_nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn seconds(ms: u64) -> f64 {
    as_f64(ms) / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::{
        dashboard::snapshot::{Alert, Queue},
        stats::{
            LedgerCounters, LossReport,
            live::{Limits, Live, Observation},
        },
        task::TaskSpec,
    };

    fn full_snapshot() -> StatusSnapshot {
        let mut live = Live::new(Limits::default());
        for (y_true, y_pred) in [(1.0, 2.0), (3.0, 5.0)] {
            live.push(&Observation {
                id: "secret-id",
                y_true,
                y_pred,
                at_ms: None,
            });
        }
        let queue = Queue {
            topic: "y_true".to_owned(),
            group: "metric".to_owned(),
            ready: 4,
            ..Queue::default()
        };
        let bus = BusState {
            url: String::new(),
            link: LinkState::Up,
            queues: vec![queue],
        };
        StatusSnapshot {
            view: Arc::new(live.view(0)),
            ledger: Some(LedgerSnapshot {
                counters: LedgerCounters {
                    late: 3,
                    ..LedgerCounters::default()
                },
                ..LedgerSnapshot::default()
            }),
            bus: Some(bus),
            alert: Some(Alert {
                mae: 1.5,
                mae_max: 1.0,
                rows: 2,
            }),
            ..StatusSnapshot::nothing_yet()
        }
    }

    fn snapshot_of_labels() -> StatusSnapshot {
        let mut live = Live::with_task(Limits::default(), &TaskSpec::of_labels(None));
        live.push(&Observation {
            id: "secret-id",
            y_true: 1.0,
            y_pred: 1.0,
            at_ms: None,
        });
        StatusSnapshot {
            view: Arc::new(live.view(0)),
            ledger: Some(LedgerSnapshot {
                log_loss: Some(LossReport::default()),
                ..LedgerSnapshot::default()
            }),
            ..StatusSnapshot::nothing_yet()
        }
    }

    fn rendered() -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            set_gauges(&snapshot_of_labels());
            set_gauges(&full_snapshot());
        });
        recorder.handle().render()
    }

    fn name_of(line: &str) -> Option<&str> {
        line.split(['{', ' '])
            .next()
            .filter(|name| name.starts_with("residual_"))
    }

    #[test]
    fn every_figure_has_a_gauge_and_no_id_appears() {
        let text = rendered();
        for line in [
            r#"residual_mae{window="all"} 1.5"#,
            r#"residual_absolute_error{window="rows",quantile="0.5"} 1.5"#,
            r#"residual_ledger_state{state="late"} 3"#,
            r#"residual_bus_ready{topic="y_true",group="metric"} 4"#,
            r#"residual_mae{window="time"} NaN"#,
            "residual_bus_up 1",
            r#"residual_alert{alert="mae"} 1"#,
            "residual_error_changes 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("secret-id"));
    }

    #[test]
    fn the_grafana_dashboard_asks_only_for_metrics_that_exist() {
        let dashboard = include_str!("../../grafana/residual.json");
        let counters = include_str!("../bus/observed.rs");
        let metrics = rendered();
        let names =
            dashboard.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        let names: Vec<_> = names.filter(|name| name.starts_with("residual_")).collect();
        assert!(names.len() > 30);
        for name in names {
            let name = name.trim_end_matches("_bucket");
            let is_gauge = metrics.lines().any(|line| name_of(line) == Some(name));
            assert!(
                is_gauge || counters.contains(&format!("\"{name}\"")),
                "{name}"
            );
        }
    }

    #[test]
    fn the_grafana_dashboard_shows_every_gauge_except_counts_of_rows() {
        let dashboard = include_str!("../../grafana/residual.json");
        let metrics = rendered();
        let hidden: BTreeSet<_> = metrics
            .lines()
            .filter_map(name_of)
            .filter(|name| !dashboard.contains(&format!("{name}{{")))
            .collect();
        let counts = [
            "residual_ledger_received",
            "residual_log_loss_rows",
            "residual_log_rows",
            "residual_window_rows",
        ];
        assert_eq!(hidden, BTreeSet::from(counts));
    }
}
