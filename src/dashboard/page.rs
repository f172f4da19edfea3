//! The page: named parts of HTML, made anew for every moment, and the document that they stand in.
//!
//! All text is made here, so a number looks the same with and without scripts, and a test finds every one of them as
//! `<data id="all_time.mae" value="…">` under its name in `/api/summary`.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{
    format::{escape, percent, short},
    serve::AppState,
    snapshot::{Level, StatusSnapshot},
    svg,
};
use crate::{
    stats::{ErrorKind, Report},
    task::Task,
};

mod classes;
mod figures;
mod status;
mod tables;

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The whole page of this moment.
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

/// Only what stands in the document itself may run.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        base64(&Sha256::digest(SCRIPT)),
        base64(&Sha256::digest(STYLE)),
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Every part with its name in the document.
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

/// What stands in the browser's tab; it is text, not HTML.
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
    let snapshot = snapshot.view.distribution.as_ref();
    let shape = snapshot.and_then(|snapshot| {
        snapshot
            .shape(ErrorKind::Absolute)
            .or(snapshot.shapes.first())
    });
    shape.map_or_else(
        || empty("It is drawn from the first row on."),
        svg::histogram,
    )
}

fn recent(snapshot: &StatusSnapshot) -> String {
    let view = &snapshot.view;
    if view.timeline.buckets.is_empty() {
        return empty("No row came within this time.");
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
        return empty("It is drawn from the first row on.");
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
        return empty("It is drawn from the first row on.");
    }
    if let Some(labels) = &view.classification {
        return classes::confusion(&labels.confusion);
    }
    svg::scatter(&view.sample, &view.latest)
}

/// In the place of something that is not there yet.
fn empty(why: &str) -> String {
    format!(r#"<p class="empty">{}</p>"#, escape(why))
}

/// A number under its name in `/api/summary`; a dash where it is unknown.
fn data(id: &str, value: Option<f64>, text: fn(f64) -> String) -> String {
    match value {
        Some(value) => format!(r#"<data id="{id}" value="{value}">{}</data>"#, text(value)),
        None => format!(r#"<data id="{id}" value="">–</data>"#),
    }
}

/// The same for counts.
fn count(id: &str, value: u64) -> String {
    format!(
        r#"<data id="{id}" value="{value}">{}</data>"#,
        super::format::count(value)
    )
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        let vectors =
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(
            vectors,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
    }

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
    fn a_moment_without_rows_is_a_page_without_odd_numbers() {
        let all: String = parts(&StatusSnapshot::nothing_yet())
            .into_iter()
            .map(|(_, html)| html)
            .collect();
        assert!(!all.contains("NaN") && !all.contains("inf"), "{all}");
        assert!(all.contains("Waiting"));
    }
}
