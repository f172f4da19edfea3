//! How wrong the predicted numbers are: tiles at the top and a table.

use super::html::{cell, count, data, heading, row, text, tile};
use crate::{
    dashboard::format::{self, duration, percent, rate, short},
    stats::{Report, live::View},
};

/// The most important figures, of the last rows, with those of all time below.
pub(super) fn tiles(view: &View) -> String {
    let (last, all) = (&view.last_rows.report, &view.all_time);
    let interval = last.mae_interval.map(|interval| {
        format!(
            "95 % interval: {} to {}",
            short(interval.low),
            short(interval.high)
        )
    });
    [
        tile(
            "Mean absolute error",
            &text(last.mae),
            &interval.unwrap_or_default(),
            &text(all.mae),
        ),
        tile(
            "Against the mean",
            &improvement_text(last),
            baseline_text(last).as_str(),
            &improvement_text(all),
        ),
        tile(
            "R²",
            &text(last.r2),
            "1 is perfect, 0 is as good as the mean",
            &text(all.r2),
        ),
        tile("Bias", &text(last.bias), bias_text(last), &text(all.bias)),
    ]
    .concat()
        + &stream_tile(view)
}

pub(super) fn stream_tile(view: &View) -> String {
    format!(
        r#"<div class="tile"><h3>Rows a second</h3><p class="big">{}</p><p class="note">over the last 10 s</p><p class="all">{} rows in all</p></div>"#,
        data("rows_per_second", Some(view.rows_per_second), rate),
        count("rows", view.rows),
    )
}

/// By which share the error is smaller than the baseline's.
fn improvement(report: &Report) -> Option<f64> {
    let (mae, baseline) = (report.mae?, report.baseline_mae?);
    Some(1.0 - mae / baseline).filter(|improvement| improvement.is_finite())
}

fn improvement_text(report: &Report) -> String {
    improvement(report).map_or_else(
        || "–".to_owned(),
        |gain| {
            let sign = if gain > 0.0 { "+" } else { "" };
            format!("{sign}{}", percent(gain))
        },
    )
}

fn baseline_text(report: &Report) -> String {
    let Some(baseline) = report.baseline_mae else {
        return "its MAE is not known yet".to_owned();
    };
    format!("its MAE is {}", short(baseline))
}

fn bias_text(report: &Report) -> &'static str {
    match report.bias {
        Some(bias) if bias > 0.0 => "predictions are too high on average",
        Some(bias) if bias < 0.0 => "predictions are too low on average",
        Some(_) => "neither too high nor too low on average",
        None => "",
    }
}

/// When the error changed last; empty if it never did.
pub(super) fn last_change(view: &View) -> String {
    let Some(change) = view.changes.last() else {
        return String::new();
    };
    let word = if change.mae_after > change.mae_before {
        "rose"
    } else {
        "fell"
    };
    let times = match view.changes_seen {
        1 => String::new(),
        seen => format!(" ({} changes in all)", format::count(seen)),
    };
    format!(
        r#"<p class="changed">The error {word} around row {}, from {} to {}{times}.</p>"#,
        format::count(change.row),
        short(change.mae_before),
        short(change.mae_after),
    )
}

type Figure = fn(&Report) -> Option<f64>;

/// Name in `/api/summary`, heading, meaning, and how to get it.
const FIGURES: [(&str, &str, &str, Figure); 12] = [
    ("mae", "MAE", "mean absolute error", |report| report.mae),
    (
        "mae_interval.low",
        "from",
        "lower end of its 95 % interval",
        |report| Some(report.mae_interval?.low),
    ),
    (
        "mae_interval.high",
        "to",
        "upper end of its 95 % interval",
        |report| Some(report.mae_interval?.high),
    ),
    ("rmse", "RMSE", "root of the mean squared error", |report| {
        report.rmse
    }),
    ("bias", "Bias", "mean of prediction minus truth", |report| {
        report.bias
    }),
    (
        "r2",
        "R²",
        "share of the truth's variance that is explained",
        |report| report.r2,
    ),
    ("p50", "p50", "median absolute error", |report| report.p50),
    (
        "p95",
        "p95",
        "95 % of the absolute errors are at most this",
        |report| report.p95,
    ),
    (
        "p99",
        "p99",
        "99 % of the absolute errors are at most this",
        |report| report.p99,
    ),
    (
        "max_absolute_error",
        "Largest",
        "largest absolute error",
        |report| report.max_absolute_error,
    ),
    (
        "baseline_mae",
        "Mean’s MAE",
        "MAE of always predicting the mean of the truths so far",
        |report| report.baseline_mae,
    ),
    (
        "baseline_rmse",
        "Mean’s RMSE",
        "RMSE of always predicting the mean of these truths",
        |report| report.baseline_rmse,
    ),
];

/// All figures for all time and both windows.
pub(super) fn table(view: &View) -> String {
    let columns = [
        ("all_time", &view.all_time),
        ("last_rows", &view.last_rows.report),
        ("recent", &view.recent.report),
    ];
    let headings: String = columns_of(view).iter().map(|name| heading(name)).collect();
    let rows: String = columns
        .iter()
        .map(|(id, report)| cell(&count(&format!("{id}.n"), report.n)))
        .collect();
    let mut body = format!(r#"<tr><th scope="row">Rows</th>{rows}</tr>"#);
    for (name, heading, meaning, figure) in FIGURES {
        let class = if name.contains('.') {
            r#" class="sub""#
        } else {
            ""
        };
        let cells: String = columns
            .iter()
            .map(|(id, report)| cell(&data(&format!("{id}.{name}"), figure(report), short)))
            .collect();
        body += &row(class, heading, meaning, &cells);
    }
    format!("<table><thead><tr><td></td>{headings}</tr></thead><tbody>{body}</tbody></table>")
}

/// The headings of the three columns.
pub(super) fn columns_of(view: &View) -> [String; 3] {
    let rows = format::count(view.last_rows.rows as u64);
    [
        "all time".to_owned(),
        format!("last {rows} rows"),
        format!("last {}", duration(view.recent.window_ms)),
    ]
}
