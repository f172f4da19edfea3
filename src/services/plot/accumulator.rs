//! What was read of the log so far, ready for a picture and for the page.

use std::path::{Path, PathBuf};

use super::{Config, event_time};
use crate::{
    clock::{UnixMs, saturating_ms},
    metric_log::{LogError, Reader, RowRef, read_task},
    stats::{
        self, Snapshot, Window,
        live::{Live, Observation, View},
    },
    task::TaskSpec,
};

/// Most rows in a picture that is limited by time; 24 bytes each.
pub(super) const WINDOW_ROWS_MAX: usize = 200_000;

/// Collects rows for the picture and for the view.
pub(super) struct LogAccumulator {
    log: PathBuf,
    settings: Config,
    /// What the predictions are, where the process knows it.
    known_spec: Option<TaskSpec>,
    spec: TaskSpec,
    reader: Reader,
    live: Live,
    window: Option<Window>,
    /// The picture is limited by time, so each row needs one.
    needs_time: bool,
    /// Rows of the first read were recorded before this process watched, so their time is that of their id.
    is_history: bool,
}

impl LogAccumulator {
    pub(super) fn new(log: &Path, settings: &Config, known_spec: Option<TaskSpec>) -> Self {
        let spec = known_spec.clone().unwrap_or_default();
        Self {
            known_spec,
            ..Self::with_task(log, settings, spec)
        }
    }

    fn with_task(log: &Path, settings: &Config, spec: TaskSpec) -> Self {
        Self {
            log: log.to_owned(),
            settings: settings.clone(),
            known_spec: None,
            reader: Reader::open(log),
            live: Live::with_task(settings.limits(), &spec),
            window: window(settings).map(|window| window.with_task(&spec)),
            spec,
            needs_time: !settings.last.0.is_zero(),
            is_history: true,
        }
    }

    /// Reads what is new; returns whether the log was replaced meanwhile, so that old and new rows are mixed here.
    ///
    /// The metric service writes `task.json` before the first row, so the file is read when that row has come.
    pub(super) fn read(&mut self, now_ms: UnixMs) -> Result<bool, LogError> {
        let (was_empty, was_history) = (self.rows() == 0, self.is_history);
        let restarted = self.read_rows(now_ms)?;
        if was_empty && self.rows() > 0 && self.known_spec.is_none() {
            let spec = spec_of(&self.log, None)?;
            if spec != self.spec {
                *self = Self::with_task(&self.log, &self.settings, spec);
                self.is_history = was_history;
                return self.read_rows(now_ms);
            }
        }
        Ok(restarted)
    }

    fn read_rows(&mut self, now_ms: UnixMs) -> Result<bool, LogError> {
        let Self {
            reader,
            live,
            window,
            needs_time,
            is_history,
            ..
        } = self;
        let mut take = |row: &RowRef<'_>| {
            let at_ms = if *is_history {
                event_time::of(&row.id, now_ms)
            } else {
                Some(now_ms)
            };
            let (y_true, y_pred) = (row.y_true, row.y_pred);
            live.push(&Observation {
                id: &row.id,
                y_true,
                y_pred,
                at_ms,
            });
            if let Some(window) = window
                && let Some(at_ms) = at_ms.or((!*needs_time).then_some(now_ms))
            {
                window.push(at_ms, y_true, y_pred);
            }
        };
        let batch = reader.read_new(&mut take)?;
        *is_history = false;
        Ok(batch.restarted)
    }

    /// Nothing was read successfully yet.
    pub(super) fn is_first_read(&self) -> bool {
        self.is_history
    }

    pub(super) fn rows(&self) -> u64 {
        self.live.rows()
    }

    /// How many rows a picture would show now, and whether some are missing because there was no room for them.
    pub(super) fn in_picture(&mut self, now_ms: UnixMs) -> (u64, bool) {
        match &mut self.window {
            None => (self.live.rows(), false),
            Some(window) => {
                window.expire(now_ms);
                (window.len() as u64, window.is_truncated())
            }
        }
    }

    pub(super) fn view(&self, now_ms: UnixMs) -> View {
        self.live.view(now_ms)
    }

    /// What the picture shows now.
    pub(super) fn snapshot(&mut self, view: stats::ErrorView, now_ms: UnixMs) -> Snapshot {
        match &mut self.window {
            None => self.live.distribution().snapshot(view),
            Some(window) => {
                window.expire(now_ms);
                window.snapshot(view)
            }
        }
    }
}

/// What the predictions in this log are: as known, else as the folder says.
pub(super) fn spec_of(log: &Path, known: Option<&TaskSpec>) -> Result<TaskSpec, LogError> {
    match known {
        Some(spec) => Ok(spec.clone()),
        None => Ok(read_task(log.parent().unwrap_or(Path::new(".")))?.unwrap_or_default()),
    }
}

fn window(settings: &Config) -> Option<Window> {
    let (last_rows, last_ms) = (settings.last_rows, saturating_ms(settings.last.0));
    match (last_rows, last_ms) {
        (0, 0) => None,
        (rows, 0) => Some(Window::last_rows(rows)),
        (0, ms) => Some(Window::last_duration(ms, WINDOW_ROWS_MAX)),
        (rows, ms) => Some(Window::last_duration(ms, rows)),
    }
}
