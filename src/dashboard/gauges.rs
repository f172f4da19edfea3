//! What the page knows, as gauges for Prometheus, set when they are asked for. An unknown figure is `NaN` there.

use metrics::gauge;

use super::{BusState, Ledger, LinkState, moment::Moment};
use crate::stats::Report;

/// Sets every gauge to this moment.
pub(super) fn set(moment: &Moment) {
    let view = &moment.view;
    gauge!("residual_log_rows").set(as_f64(view.rows));
    gauge!("residual_rows_per_second").set(view.rows_per_second);
    gauge!("residual_last_row_age_seconds").set(or_nan(moment.silent_ms.map(seconds)));
    quality("all", &view.all_time);
    quality("rows", &view.last_rows.report);
    quality("time", &view.recent.report);
    if let Some(ledger) = &moment.ledger {
        set_ledger(ledger);
    }
    if let Some(bus) = &moment.bus {
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

fn set_ledger(ledger: &Ledger) {
    gauge!("residual_ledger_received").set(as_f64(ledger.received));
    gauge!("residual_ledger_pending").set(as_f64(ledger.pending));
    for (state, halves) in ledger.states() {
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
