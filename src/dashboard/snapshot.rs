//! Everything that is known at one moment: what the page shows and `/api/summary` answers.
//!
//! The names of the fields are those of the JSON, which other programs read.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::{
    clock::UnixMs,
    stats::{
        LedgerSnapshot,
        live::{RowWindow, View},
    },
};

/// The bus as this process sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct BusState {
    /// Its URL without the password.
    pub(super) url: String,
    /// The state of the link.
    pub(super) link: LinkState,
    /// What waits for which group.
    pub(super) queues: Vec<Queue>,
}

/// The state of the link to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum LinkState {
    /// It can be used.
    Up,
    /// It cannot be used; the connection is being tried again.
    Down {
        /// Why the last try failed.
        reason: String,
        /// How many tries have failed in a row.
        tries: u32,
    },
}

/// What waits for a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    /// The topic.
    pub(super) topic: String,
    /// The group that consumes it.
    pub(super) group: String,
    /// Messages ready to be delivered.
    pub(super) ready: u64,
    /// Messages delivered and not settled; those of other processes only where the broker reports them (RabbitMQ
    /// does not).
    pub(super) in_flight: u64,
    /// Dead letters of the group.
    pub(super) dead: u64,
}

/// A service of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Such as `predictor`.
    pub name: String,
    /// In one word, such as `running`, `done` or `failed`.
    pub state: String,
    /// More words, such as the reason of a failure.
    pub detail: String,
}

/// Whether the numbers can be relied on, for the top of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    pub(super) level: Level,
    /// In a few words.
    pub(super) title: String,
    /// In a sentence; empty where there is nothing to say.
    pub(super) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Live,
    Waiting,
    Silent,
    BrokerAway,
    NotRecording,
}

impl Level {
    /// As in the JSON and in the style sheet's class names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Silent => "silent",
            Self::BrokerAway => "broker_away",
            Self::NotRecording => "not_recording",
        }
    }
}

/// Rows that the window must hold before an alert is raised: the mean of fewer says little.
const ALERT_ROWS_MIN: u64 = 30;

/// The error of the last rows is above what the settings allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Alert {
    /// Mean absolute error of the last rows.
    pub(super) mae: f64,
    /// The limit.
    pub(super) mae_max: f64,
    /// How many rows.
    pub(super) rows: u64,
}

impl Alert {
    /// The alert of these rows, if there is one. A window shorter than [`ALERT_ROWS_MIN`] counts once it is full.
    pub(super) fn of(last: &RowWindow, mae_max: Option<f64>) -> Option<Self> {
        let (mae_max, mae, rows) = (mae_max?, last.report.mae?, last.report.n);
        let enough = ALERT_ROWS_MIN.min(last.rows as u64);
        (rows >= enough && mae > mae_max).then_some(Self { mae, mae_max, rows })
    }
}

/// All of it at one moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StatusSnapshot {
    pub(super) version: &'static str,
    pub(super) now_ms: UnixMs,
    pub(super) status: Status,
    pub(super) alert: Option<Alert>,
    /// Time since the newest row came.
    pub(super) silent_ms: Option<u64>,
    #[serde(flatten, serialize_with = "inner")]
    pub(super) view: Arc<View>,
    pub(super) ledger: Option<LedgerSnapshot>,
    pub(super) bus: Option<BusState>,
    pub(super) services: Vec<Service>,
}

fn inner<S: Serializer>(view: &Arc<View>, serializer: S) -> Result<S::Ok, S::Error> {
    view.serialize(serializer)
}

#[cfg(test)]
impl StatusSnapshot {
    /// Before the first row.
    pub(super) fn nothing_yet() -> Self {
        let status = Status {
            level: Level::Waiting,
            title: "Waiting".to_owned(),
            detail: "No row yet".to_owned(),
        };
        Self {
            version: "0",
            now_ms: 1_700_000_000_000,
            status,
            alert: None,
            silent_ms: None,
            view: Arc::default(),
            ledger: None,
            bus: None,
            services: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Report;

    #[test]
    fn an_alert_needs_a_limit_enough_rows_and_an_error_above_it() {
        let window = |rows, n, mae| RowWindow {
            rows,
            report: Report {
                n,
                mae: Some(mae),
                ..Report::default()
            },
        };
        for (last, mae_max, raised) in [
            (window(1_000, 30, 51.0), Some(50.0), true),
            (window(1_000, 29, 51.0), Some(50.0), false),
            (window(10, 10, 51.0), Some(50.0), true),
            (window(1_000, 30, 50.0), Some(50.0), false),
            (window(1_000, 30, 51.0), None, false),
            (RowWindow::default(), Some(50.0), false),
        ] {
            assert_eq!(Alert::of(&last, mae_max).is_some(), raised, "{last:?}");
        }
    }
}
