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
    moment::{Level, Moment},
    number::{escape, percent, short},
    serve::Desk,
    svg,
};
use crate::{
    stats::{ErrorKind, Report},
    task::Task,
};

mod classes;
mod figures;
mod house;
mod tables;

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The whole page of this moment.
pub(super) async fn whole(State(desk): State<Arc<Desk>>) -> Response {
    let moment = desk.moment();
    let mut document = DOCUMENT
        .replace("/*style*/", STYLE)
        .replace("/*script*/", SCRIPT);
    for (name, html) in parts(&moment) {
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
pub(super) fn parts(moment: &Moment) -> Vec<(&'static str, String)> {
    let view = &moment.view;
    vec![
        ("title", title(moment)),
        ("status", house::status(moment)),
        ("tiles", tiles(moment)),
        ("figures", table(moment)),
        ("histogram", histogram(moment)),
        ("recent", recent(moment)),
        ("history", history(moment)),
        ("scatter", scatter(moment)),
        ("worst", tables::worst(view)),
        ("labels", tables::labels(moment.ledger.as_ref())),
        ("bus", house::bus(moment.bus.as_ref())),
        ("services", house::services(&moment.services)),
        ("now", house::now(moment)),
    ]
}

/// What stands in the browser's tab; it is text, not HTML.
fn title(moment: &Moment) -> String {
    let figure = match &moment.view.classification {
        None => {
            let mae = moment.view.last_rows.report.mae;
            mae.map(|mae| format!("MAE {}", short(mae)))
        }
        Some(labels) => {
            let accuracy = labels.last_rows.accuracy;
            accuracy.map(|accuracy| format!("accuracy {}", percent(accuracy)))
        }
    };
    if moment.alert.is_some() && moment.status.level == Level::Live {
        return format!("Too wrong · {} · residual", figure.unwrap_or_default());
    }
    match (moment.status.level, figure) {
        (Level::Live, Some(figure)) => format!("{figure} · residual"),
        (_, _) => format!("{} · residual", moment.status.title),
    }
}

fn tiles(moment: &Moment) -> String {
    let view = &moment.view;
    match &view.classification {
        None => figures::tiles(view),
        Some(labels) => classes::tiles(view, labels, moment.ledger.as_ref()),
    }
}

fn table(moment: &Moment) -> String {
    let view = &moment.view;
    match &view.classification {
        None => figures::table(view),
        Some(labels) => classes::table(view, labels, moment.ledger.as_ref()),
    }
}

fn histogram(moment: &Moment) -> String {
    if let Some(labels) = &moment.view.classification
        && moment.view.rows > 0
    {
        return svg::classes(&labels.confusion);
    }
    let snapshot = moment.view.distribution.as_ref();
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

fn recent(moment: &Moment) -> String {
    let view = &moment.view;
    if view.course.stretches.is_empty() {
        return empty("No row came within this time.");
    }
    svg::course(
        &view.course,
        svg::Axis::Time,
        &levels(&view.recent.report, view.all_time.mae),
        error_name(moment),
        &view.changes,
    )
}

fn history(moment: &Moment) -> String {
    let view = &moment.view;
    if view.history.stretches.is_empty() {
        return empty("It is drawn from the first row on.");
    }
    let chart = svg::course(
        &view.history,
        svg::Axis::Rows,
        &levels(&view.all_time, view.all_time.mae),
        error_name(moment),
        &view.changes,
    );
    chart + &figures::last_change(view)
}

fn error_name(moment: &Moment) -> &'static str {
    match moment.view.task {
        Task::Regression => "mean absolute error",
        Task::Classification => "share of wrong labels",
    }
}

fn levels(report: &Report, all_time: Option<f64>) -> [(&'static str, Option<f64>); 2] {
    [("all time", all_time), ("baseline", report.baseline_mae)]
}

fn scatter(moment: &Moment) -> String {
    let view = &moment.view;
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
        super::number::count(value)
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
        let moment = Moment::nothing_yet();
        for (name, _) in parts(&moment) {
            assert_eq!(
                DOCUMENT.matches(&format!("<!--{name}-->")).count(),
                1,
                "{name}"
            );
        }
        let places = DOCUMENT.matches("<!--").count();
        assert_eq!(places, parts(&moment).len());
    }

    #[test]
    fn a_moment_without_rows_is_a_page_without_odd_numbers() {
        let all: String = parts(&Moment::nothing_yet())
            .into_iter()
            .map(|(_, html)| html)
            .collect();
        assert!(!all.contains("NaN") && !all.contains("inf"), "{all}");
        assert!(all.contains("Waiting"));
    }
}
