//! The smallest parts of the page: numbers with their ids, table cells, tiles.

use crate::dashboard::format::{self, escape, short};

/// A sentence in place of something that is not there yet.
pub(super) fn empty(why: &str) -> String {
    format!(r#"<p class="empty">{}</p>"#, escape(why))
}

/// A number under its name in `/api/summary`; a dash where it is unknown.
pub(super) fn data(id: &str, value: Option<f64>, text: fn(f64) -> String) -> String {
    match value {
        Some(value) => format!(r#"<data id="{id}" value="{value}">{}</data>"#, text(value)),
        None => format!(r#"<data id="{id}" value="">–</data>"#),
    }
}

/// The same for a count.
pub(super) fn count(id: &str, value: u64) -> String {
    format!(
        r#"<data id="{id}" value="{value}">{}</data>"#,
        format::count(value)
    )
}

pub(super) fn tile(name: &str, value: &str, note: &str, all_time: &str) -> String {
    format!(
        r#"<div class="tile"><h3>{name}</h3><p class="big">{value}</p><p class="note">{note}</p><p class="all">all time {all_time}</p></div>"#
    )
}

pub(super) fn text(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

pub(super) fn heading(name: &str) -> String {
    format!(r#"<th scope="col">{name}</th>"#)
}

pub(super) fn row(class: &str, heading: &str, meaning: &str, cells: &str) -> String {
    format!(r#"<tr{class}><th scope="row" title="{meaning}">{heading}</th>{cells}</tr>"#)
}

pub(super) fn cell(content: &str) -> String {
    format!("<td>{content}</td>")
}
