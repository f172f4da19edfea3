//! One picture of a log as it stands.
//!
//! The service has to bound the rows that it keeps, because it does not know how many will follow. Here the end of the time
//! to show is known before reading, so rows are selected as they are read, and none is left out, however many there are.

use std::path::Path;

use super::{Config, PlotError, accumulator, draw, event_time, format_of};
use crate::{
    chart,
    clock::{UnixMs, saturating_ms},
    metric_log::{Reader, RowRef},
    stats::{self, Distribution, Snapshot, Window},
    task::TaskSpec,
};

/// How much of a log is in its picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Rows in the picture.
    pub shown: u64,
    /// Rows of the log.
    pub rows: u64,
}

/// Draws one picture of a log, also of an empty or missing one. Without `spec` the logs folder says what its
/// predictions are.
///
/// # Errors
/// When the log cannot be read or the picture cannot be written.
pub fn draw_once(
    log: &Path,
    output: &Path,
    spec: Option<&TaskSpec>,
    settings: &Config,
    style: &chart::Config,
    now_ms: UnixMs,
) -> Result<Drawn, PlotError> {
    let format = format_of(output)?;
    let last_ms = saturating_ms(settings.last.0);
    let spec = accumulator::spec_of(log, spec)?;
    let mut rows = match settings.last_rows {
        0 => Rows::All(Box::new(Distribution::with_task(&spec))),
        last_rows => Rows::Last(Window::last_rows(last_rows).with_task(&spec)),
    };
    let mut take = |row: &RowRef<'_>| {
        if last_ms == 0 || is_within(row, now_ms, last_ms) {
            rows.push(row);
        }
    };
    let batch = Reader::open(log).read_new(&mut take)?;
    let snapshot = rows.snapshot(style.view);
    draw(&snapshot, style, output, format)?;
    Ok(Drawn {
        shown: snapshot.report.n,
        rows: batch.rows,
    })
}

fn is_within(row: &RowRef<'_>, now_ms: UnixMs, last_ms: u64) -> bool {
    event_time::of(&row.id, now_ms).is_some_and(|at_ms| now_ms - at_ms <= last_ms)
}

enum Rows {
    All(Box<Distribution>),
    Last(Window),
}

impl Rows {
    fn push(&mut self, row: &RowRef<'_>) {
        match self {
            Self::All(all) => {
                all.push(row.y_true, row.y_pred);
            }
            // Only the order counts here.
            Self::Last(last) => last.push(0, row.y_true, row.y_pred),
        }
    }

    fn snapshot(&self, view: stats::ErrorView) -> Snapshot {
        match self {
            Self::All(all) => all.snapshot(view),
            Self::Last(last) => last.snapshot(view),
        }
    }
}
