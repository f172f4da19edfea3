//! Single rows worth a look, and what became of the labels.

use super::html::{cell, count, data, empty, row};
use crate::{
    dashboard::format::{self, duration, escape, percent, short},
    stats::{
        LedgerSnapshot,
        live::{Classification, View, WorstRow},
    },
};

/// The worst of the last rows and of all time.
pub(super) fn worst(view: &View) -> String {
    if let Some(labels) = &view.classification {
        return wrong(view, labels);
    }
    if view.worst.is_empty() {
        return empty("The list appears with the first row.");
    }
    let last = format!(
        "Of the last {} rows",
        format::count(view.last_rows.rows as u64)
    );
    worst_table(&last, &view.worst_of_last_rows) + &worst_table("Of all time", &view.worst)
}

fn worst_table(caption: &str, rows: &[WorstRow]) -> String {
    let body: String = rows.iter().map(worst_row).collect();
    format!(
        r#"<table class="worst"><caption>{caption}</caption><thead><tr><th scope="col">id</th><th scope="col">true</th><th scope="col">predicted</th><th scope="col">error</th></tr></thead><tbody>{body}</tbody></table>"#
    )
}

fn worst_row(row: &WorstRow) -> String {
    let id = escape(&row.id);
    format!(
        r#"<tr><td class="id" title="{id}"><code><bdi>{id}</bdi></code></td><td>{}</td><td>{}</td><td><b>{}</b></td></tr>"#,
        short(row.y_true),
        short(row.y_pred),
        short(row.absolute_error),
    )
}

/// The newest wrong labels.
fn wrong(view: &View, labels: &Classification) -> String {
    if view.worst.is_empty() {
        return empty("No label has been wrong so far.");
    }
    let body: String = view
        .worst
        .iter()
        .map(|row| wrong_row(row, labels))
        .collect();
    format!(
        r#"<table class="worst"><caption>The newest wrong labels</caption><thead><tr><th scope="col">id</th><th scope="col">true</th><th scope="col">predicted</th></tr></thead><tbody>{body}</tbody></table>"#
    )
}

fn wrong_row(row: &WorstRow, labels: &Classification) -> String {
    let id = escape(&row.id);
    format!(
        r#"<tr><td class="id" title="{id}"><code>{id}</code></td><td>{}</td><td><b>{}</b></td></tr>"#,
        escape(&labels.name(row.y_true)),
        escape(&labels.name(row.y_pred)),
    )
}

const STATES: [(&str, &str); 9] = [
    (
        "Matched rows",
        "truth and prediction came; each row took two halves",
    ),
    ("Duplicate", "came again with the same value"),
    ("Conflicting", "came again with another value"),
    ("Expired truths", "their prediction never came"),
    ("Expired predictions", "their truth never came"),
    (
        "Late",
        "came after their partner had expired or been evicted",
    ),
    ("Evicted truths", "removed because too many were waiting"),
    (
        "Evicted predictions",
        "removed because too many were waiting",
    ),
    ("Malformed", "could not be used"),
];

/// Coverage, delay, and how many halves are in each state.
pub(super) fn labels(ledger: Option<&LedgerSnapshot>) -> String {
    let Some(ledger) = ledger else {
        return empty("The metric service runs in another process.");
    };
    let delay = |id, delay_ms: Option<u64>| {
        let text = delay_ms.map_or_else(|| "–".to_owned(), duration);
        let value = delay_ms.map(|ms| ms.to_string()).unwrap_or_default();
        format!(r#"<data id="{id}" value="{value}">{text}</data>"#)
    };
    let facts = [
        (
            "Label coverage",
            "share of predictions that got their label, among those that no longer wait",
            data("ledger.coverage", ledger.coverage, percent),
        ),
        (
            "Label delay, median",
            "from a prediction to its label",
            delay("ledger.label_delay_p50_ms", ledger.label_delay_p50_ms),
        ),
        (
            "Label delay, p95",
            "95 % of the labels came within this time",
            delay("ledger.label_delay_p95_ms", ledger.label_delay_p95_ms),
        ),
        (
            "Pending",
            "truths and predictions that wait for their partner",
            count("ledger.pending", ledger.pending),
        ),
        (
            "Received",
            "truths and predictions that came: those pending and all below, with matched rows counted twice",
            count("ledger.received", ledger.counters.received),
        ),
    ];
    let mut body: String = facts
        .into_iter()
        .map(|(name, meaning, value)| row("", name, meaning, &cell(&value)))
        .collect();
    for ((state, halves), (name, meaning)) in ledger.counters.states().into_iter().zip(STATES) {
        let class = if halves == 0 || state == "matched" {
            ""
        } else {
            r#" class="notable""#
        };
        body += &row(
            class,
            name,
            meaning,
            &cell(&count(&format!("ledger.{state}"), halves)),
        );
    }
    format!("<table><tbody>{body}</tbody></table>")
}
