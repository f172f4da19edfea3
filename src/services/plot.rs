//! Draws the picture of the log, again and again as the log grows, and keeps the live page up to date.
//!
//! Promises: the first picture is drawn as soon as there are two rows, the next ones every [`Config::refresh`] while rows
//! arrive, and the last one at the stop, after the log was read to its end. Readers always find a complete picture: it is
//! written to a temporary file and renamed over the old one. A refresh reads only new bytes. A picture that cannot be
//! written is logged once, with the remedy, and tried again; the stream never stops because of it. Deliberately absent:
//! what a picture looks like, and how a log is read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    chart::{self, ChartError, Format},
    clock::{Clock, Period, saturating_ms},
    metric_log::LogError,
    stats::{
        Snapshot,
        live::{self, View},
    },
    task::TaskSpec,
};

mod accumulator;
mod event_time;
mod once;
mod worker;

use accumulator::LogAccumulator;
pub use once::{Drawn, draw_once};
use worker::{PlotWorker, Poll};

/// Settings of the picture's service and of the page's windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the picture goes, `.png` or `.svg`; without it `error_distribution.png` in the logs folder.
    pub output: Option<PathBuf>,
    /// Shortest time between two pictures; the first one does not wait for it.
    pub refresh: Period,
    /// How often the log is checked for new rows, in milliseconds.
    pub poll_ms: u64,
    /// Only the last so many rows are in the picture; all if 0.
    pub last_rows: usize,
    /// Only rows of the last so much time are in the picture; all if `0s`. The time of a row in an old log is read from
    /// its id; a row whose id has none is left out.
    pub last: Period,
    /// Length of the page's window by rows.
    pub window_rows: usize,
    /// Length of the page's window by time.
    pub window: Period,
    /// Seed of the page's sample of rows.
    pub sample_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let limits = live::Limits::default();
        Self {
            output: None,
            refresh: Period::from_millis(10_000),
            poll_ms: 200,
            last_rows: 0,
            last: Period::default(),
            window_rows: limits.window_rows,
            window: Period::from_millis(limits.window_ms),
            sample_seed: limits.seed,
        }
    }
}

impl Config {
    /// Checks, before anything starts, that the picture can be drawn.
    ///
    /// # Errors
    /// When the name of the picture has no known extension.
    pub fn check(&self) -> Result<(), PlotError> {
        self.output
            .as_deref()
            .map_or(Ok(()), |path| format_of(path).map(drop))
    }

    fn limits(&self) -> live::Limits {
        live::Limits {
            window_rows: self.window_rows,
            window_ms: saturating_ms(self.window.0).max(1),
            seed: self.sample_seed,
            ..live::Limits::default()
        }
    }
}

/// What the service reads, and where its results go.
pub struct Ports {
    /// The live file of the log; it need not exist yet.
    pub log: PathBuf,
    /// The picture, `.png` or `.svg`.
    pub picture: PathBuf,
    /// What the predictions are, where this process knows better than the logs folder.
    pub spec: Option<TaskSpec>,
    /// To the live page.
    pub view: watch::Sender<Arc<View>>,
    /// Gives rows their time.
    pub clock: Clock,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The log cannot be read as it is.
    #[error("log cannot be read")]
    Log(#[from] LogError),
    /// The picture cannot be drawn.
    #[error("picture cannot be drawn")]
    Chart(#[from] ChartError),
    /// The file system refused the picture.
    #[error("cannot write `{}`: {}", path.display(), remedy(source))]
    Write {
        /// The picture.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file name has no known extension.
    #[error("`{}` is no picture that can be drawn; name a file that ends in `.png` or `.svg`", path.display())]
    Extension {
        /// As given.
        path: PathBuf,
    },
    /// A thread panicked while it read or drew.
    #[error("drawing broke down")]
    Broke(#[from] tokio::task::JoinError),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable or name another by `--logs DIR`"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full, free some space"
        }
        io::ErrorKind::NotFound => "its folder does not exist, create it",
        io::ErrorKind::IsADirectory => "a folder of that name is in the way, move it",
        _ => "check the folder",
    }
}

/// Follows the log until `stop` is cancelled and returns how many rows it has read.
///
/// # Errors
/// When the name of the picture has no known extension, or the log is foreign or damaged at the first read. Later failures
/// are logged and tried again.
pub async fn run(
    ports: Ports,
    settings: Config,
    style: chart::Config,
    stop: CancellationToken,
) -> Result<u64, PlotError> {
    let mut worker = PlotWorker::new(&ports, &settings, style)?;
    let mut ticks = tokio::time::interval(Duration::from_millis(settings.poll_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let this_poll = Poll {
            now_ms: ports.clock.now_ms(),
            now: Instant::now(),
            is_last,
        };
        let view;
        (worker, view) = step_blocking(worker, this_poll).await?;
        if let Some(view) = view {
            ports.view.send_replace(Arc::new(view));
        }
        if is_last {
            return Ok(worker.rows());
        }
    }
}

/// Reads and draws on a thread for blocking work.
async fn step_blocking(
    mut worker: PlotWorker,
    poll: Poll,
) -> Result<(PlotWorker, Option<View>), PlotError> {
    tokio::task::spawn_blocking(move || {
        let view = worker.step(poll)?;
        Ok((worker, view))
    })
    .await?
}

fn format_of(path: &Path) -> Result<Format, PlotError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension
        .and_then(Format::from_extension)
        .ok_or_else(|| PlotError::Extension {
            path: path.to_owned(),
        })
}

fn draw(
    snapshot: &Snapshot,
    style: &chart::Config,
    path: &Path,
    format: Format,
) -> Result<(), PlotError> {
    let bytes = chart::render(snapshot, style, format)?;
    replace(path, &bytes).map_err(|source| PlotError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a temporary file and renames it over the old one, so that nobody reads half a picture.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let replaced = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // Best effort: the error to report is the first one.
        drop(fs::remove_file(&temporary));
    }
    replaced
}

#[cfg(test)]
mod tests;
