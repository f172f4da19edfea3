//! Everything that is known at one moment: what the page shows, what `/api/summary` tells.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::{
    clock::UnixMs,
    stats::{
        LedgerSnapshot,
        live::{RowWindow, View},
    },
};

/// The bus as seen from here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BusState {
    /// Where it is, without its password.
    pub url: String,
    /// The state of the link.
    pub link: LinkState,
    /// What waits where.
    pub queues: Vec<Queue>,
}

/// The state of the link to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LinkState {
    /// Usable.
    Up,
    /// Not usable; it is being tried again.
    Down {
        /// What the last try failed with.
        reason: String,
        /// How many tries have failed in a row.
        tries: u32,
    },
}

/// What waits for a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// The topic.
    pub topic: String,
    /// The group that consumes it.
    pub group: String,
    /// Messages ready to be delivered.
    pub ready: u64,
    /// Messages delivered and not settled; of other processes too where the broker tells (RabbitMQ does not).
    pub in_flight: u64,
    /// Dead letters of the group.
    pub dead: u64,
}

/// A service of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Such as `predictor`.
    pub name: String,
    /// In one word, such as `running` or `stopped`.
    pub state: String,
    /// A few more words, for instance which model.
    pub detail: String,
}

/// What a watcher must know before any number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    pub(super) level: Level,
    /// In a few words.
    pub(super) title: String,
    /// In a sentence; empty when all is well.
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
    /// As in JSON and in class names.
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

/// Rows of the window before an alert may be raised: the mean of fewer says little.
const ALERT_ROWS_MIN: u64 = 30;

/// The error of the last rows is above what the settings allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Alert {
    /// Mean absolute error of the last rows.
    pub(super) mae: f64,
    /// What it may be.
    pub(super) mae_max: f64,
    /// The rows.
    pub(super) rows: u64,
}

impl Alert {
    /// The alert of these rows, if there is one. A window that never gets so long as
    /// [`ALERT_ROWS_MIN`] is judged once it is full.
    pub(super) fn of(last: &RowWindow, mae_max: Option<f64>) -> Option<Self> {
        let (mae_max, mae, rows) = (mae_max?, last.report.mae?, last.report.n);
        let enough = ALERT_ROWS_MIN.min(last.rows as u64);
        (rows >= enough && mae > mae_max).then_some(Self { mae, mae_max, rows })
    }
}

/// One moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StatusSnapshot {
    pub(super) version: &'static str,
    pub(super) now_ms: UnixMs,
    pub(super) status: Status,
    pub(super) alert: Option<Alert>,
    /// Since the newest row.
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
