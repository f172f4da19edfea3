//! The page: named parts of HTML, rendered anew for every snapshot, and the document around them.
//!
//! All text is rendered here and not in the browser, so a number looks the same with and without scripts. Each number is
//! `<data id="all_time.mae" value="…">`, with its name in `/api/summary` as the id, so a test can compare them all.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use super::{
    format::{percent, short},
    snapshot::{Level, StatusSnapshot},
    state::AppState,
    svg,
};
use crate::{
    stats::{ErrorKind, Report},
    task::Task,
};

mod classes;
mod figures;
mod html;
mod status;
mod tables;

use html::empty;

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The whole page as it is now.
pub(super) async fn whole(State(state): State<Arc<AppState>>) -> Response {
    let snapshot = state.snapshot();
    let mut document = DOCUMENT
        .replace("/*style*/", STYLE)
        .replace("/*script*/", SCRIPT);
    for (name, html) in parts(&snapshot) {
        document = document.replace(&format!("<!--{name}-->"), &html);
    }
    let mut response = Html(document).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

/// Only the script and the style sheet of the document itself may be used.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        BASE64_STANDARD.encode(Sha256::digest(SCRIPT)),
        BASE64_STANDARD.encode(Sha256::digest(STYLE)),
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Every part with the id of its element in the document.
pub(super) fn parts(snapshot: &StatusSnapshot) -> Vec<(&'static str, String)> {
    let view = &snapshot.view;
    vec![
        ("title", title(snapshot)),
        ("status", status::status(snapshot)),
        ("tiles", tiles(snapshot)),
        ("figures", table(snapshot)),
        ("histogram", histogram(snapshot)),
        ("recent", recent(snapshot)),
        ("history", history(snapshot)),
        ("scatter", scatter(snapshot)),
        ("worst", tables::worst(view)),
        ("labels", tables::labels(snapshot.ledger.as_ref())),
        ("bus", status::bus(snapshot.bus.as_ref())),
        ("services", status::services(&snapshot.services)),
        ("now", status::now(snapshot)),
    ]
}

/// The title in the browser's tab.
fn title(snapshot: &StatusSnapshot) -> String {
    let figure = match &snapshot.view.classification {
        None => {
            let mae = snapshot.view.last_rows.report.mae;
            mae.map(|mae| format!("MAE {}", short(mae)))
        }
        Some(labels) => {
            let accuracy = labels.last_rows.accuracy;
            accuracy.map(|accuracy| format!("accuracy {}", percent(accuracy)))
        }
    };
    if snapshot.alert.is_some() && snapshot.status.level == Level::Live {
        return format!("Too wrong · {} · residual", figure.unwrap_or_default());
    }
    match (snapshot.status.level, figure) {
        (Level::Live, Some(figure)) => format!("{figure} · residual"),
        (_, _) => format!("{} · residual", snapshot.status.title),
    }
}

fn tiles(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    match &view.classification {
        None => figures::tiles(view),
        Some(labels) => classes::tiles(view, labels, snapshot.ledger.as_ref()),
    }
}

fn table(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    match &view.classification {
        None => figures::table(view),
        Some(labels) => classes::table(view, labels, snapshot.ledger.as_ref()),
    }
}

fn histogram(snapshot: &StatusSnapshot) -> String {
    if let Some(labels) = &snapshot.view.classification
        && snapshot.view.rows > 0
    {
        return svg::classes(&labels.confusion);
    }
    let distribution = snapshot.view.distribution.as_ref();
    let shape = distribution.and_then(|distribution| {
        distribution
            .shape(ErrorKind::Absolute)
            .or(distribution.shapes.first())
    });
    shape.map_or_else(
        || empty("The chart appears with the first row."),
        svg::histogram,
    )
}

fn recent(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    if view.timeline.buckets.is_empty() {
        return empty("No row came in this time.");
    }
    svg::timeline(
        &view.timeline,
        svg::Axis::Time,
        &levels(&view.recent.report, view.all_time.mae),
        error_name(snapshot),
        &view.changes,
    )
}

fn history(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    if view.history.buckets.is_empty() {
        return empty("The chart appears with the first row.");
    }
    let chart = svg::timeline(
        &view.history,
        svg::Axis::Rows,
        &levels(&view.all_time, view.all_time.mae),
        error_name(snapshot),
        &view.changes,
    );
    chart + &figures::last_change(view)
}

fn error_name(snapshot: &StatusSnapshot) -> &'static str {
    match snapshot.view.task {
        Task::Regression => "mean absolute error",
        Task::Classification => "share of wrong labels",
    }
}

fn levels(report: &Report, all_time: Option<f64>) -> [(&'static str, Option<f64>); 2] {
    [("all time", all_time), ("baseline", report.baseline_mae)]
}

fn scatter(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    if view.latest.is_empty() {
        return empty("The chart appears with the first row.");
    }
    if let Some(labels) = &view.classification {
        return classes::confusion(&labels.confusion);
    }
    svg::scatter(&view.sample, &view.latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_place_in_the_document() {
        let snapshot = StatusSnapshot::nothing_yet();
        for (name, _) in parts(&snapshot) {
            assert_eq!(
                DOCUMENT.matches(&format!("<!--{name}-->")).count(),
                1,
                "{name}"
            );
        }
        let places = DOCUMENT.matches("<!--").count();
        assert_eq!(places, parts(&snapshot).len());
    }

    #[test]
    fn a_page_without_rows_shows_no_nan_or_infinity() {
        let all: String = parts(&StatusSnapshot::nothing_yet())
            .into_iter()
            .map(|(_, html)| html)
            .collect();
        assert!(!all.contains("NaN") && !all.contains("inf"), "{all}");
        assert!(all.contains("Waiting"));
    }
}
