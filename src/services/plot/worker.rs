//! What the service does at each poll of the log: read, draw when it is time, update the page, and survive failures.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Config, Drawn, LogAccumulator, PlotError, Ports, accumulator::WINDOW_ROWS_MAX, draw, format_of,
};
use crate::{
    chart::{self, Format},
    clock::UnixMs,
    stats::{Snapshot, live::View},
    task::TaskSpec,
};

/// Rows that make the first picture worth drawing.
const FIRST_PICTURE_ROWS: u64 = 2;

/// The page's numbers change with time, even without new rows.
const VIEW_AGE_MAX: Duration = Duration::from_secs(1);

/// Shortest time between two snapshots for the page.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(500);

/// Snapshots for the page take at most this fraction of the time: one part in so many.
const SNAPSHOT_SHARE: u32 = 20;

/// One poll of the log.
#[derive(Clone, Copy)]
pub(super) struct Poll {
    pub(super) now_ms: UnixMs,
    pub(super) now: Instant,
    pub(super) is_last: bool,
}

/// The state of the service between two polls.
pub(super) struct PlotWorker {
    log: PathBuf,
    picture: PathBuf,
    format: Format,
    style: chart::Config,
    settings: Config,
    spec: Option<TaskSpec>,
    accumulator: LogAccumulator,
    /// When drawing was last tried, and what the last picture shows.
    last_try: Option<Instant>,
    drawn: Drawn,
    is_truncated: bool,
    last_view: Option<Instant>,
    for_page: PageSnapshot,
    read_failures: FailureLog,
    draw_failures: FailureLog,
}

/// The snapshot that the page has.
#[derive(Default)]
struct PageSnapshot {
    snapshot: Option<Arc<Snapshot>>,
    rows: u64,
    next: Option<Instant>,
}

impl PlotWorker {
    pub(super) fn new(
        ports: &Ports,
        settings: &Config,
        style: chart::Config,
    ) -> Result<Self, PlotError> {
        Ok(Self {
            log: ports.log.clone(),
            picture: ports.picture.clone(),
            format: format_of(&ports.picture)?,
            style,
            settings: settings.clone(),
            spec: ports.spec.clone(),
            accumulator: LogAccumulator::new(&ports.log, settings, ports.spec.clone()),
            last_try: None,
            drawn: Drawn::default(),
            is_truncated: false,
            last_view: None,
            for_page: PageSnapshot::default(),
            read_failures: FailureLog::default(),
            draw_failures: FailureLog::default(),
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.accumulator.rows()
    }

    /// Reads what is new, draws if it is time, and returns what the page should show, if that has changed.
    pub(super) fn step(&mut self, poll: Poll) -> Result<Option<View>, PlotError> {
        let rows_before = self.accumulator.rows();
        self.read(poll.now_ms)?;
        if self.is_due(poll) {
            self.draw(poll);
        }
        let is_old = self
            .last_view
            .is_none_or(|last_view| poll.now - last_view >= VIEW_AGE_MAX);
        if self.accumulator.rows() == rows_before && !is_old && !poll.is_last {
            return Ok(None);
        }
        self.last_view = Some(poll.now);
        let distribution = self.page_snapshot(poll);
        Ok(Some(View {
            distribution,
            ..self.accumulator.view(poll.now_ms)
        }))
    }

    /// An error at the first read ends the service, because then the log is not one of ours; later errors are logged.
    fn read(&mut self, now_ms: UnixMs) -> Result<(), PlotError> {
        let mut read = self.accumulator.read(now_ms);
        if matches!(read, Ok(true)) {
            tracing::warn!(path = %self.log.display(), "log was cut or replaced, its picture begins anew");
            self.accumulator = LogAccumulator::new(&self.log, &self.settings, self.spec.clone());
            (self.last_try, self.drawn, self.for_page) =
                (None, Drawn::default(), PageSnapshot::default());
            read = self.accumulator.read(now_ms);
        }
        match read {
            Err(error) if self.accumulator.is_first_read() && !error.is_transient() => {
                Err(error.into())
            }
            read => {
                self.read_failures.note(read.map_err(PlotError::from));
                Ok(())
            }
        }
    }

    /// A picture of the last so much time also changes when rows leave it.
    fn is_due(&mut self, poll: Poll) -> bool {
        if self.in_picture(poll) == self.drawn {
            return false;
        }
        let waited = self
            .last_try
            .is_none_or(|last_try| poll.now - last_try >= self.settings.refresh.0);
        poll.is_last || (waited && self.accumulator.rows() >= FIRST_PICTURE_ROWS)
    }

    fn in_picture(&mut self, poll: Poll) -> Drawn {
        let (shown, is_truncated) = self.accumulator.in_picture(poll.now_ms);
        if is_truncated && !self.is_truncated && self.settings.last_rows == 0 {
            tracing::warn!(
                rows = WINDOW_ROWS_MAX,
                last = %self.settings.last,
                "more rows came in this time than a picture keeps, it shows the last of them only"
            );
        }
        self.is_truncated = is_truncated;
        Drawn {
            shown,
            rows: self.accumulator.rows(),
        }
    }

    fn draw(&mut self, poll: Poll) {
        self.last_try = Some(poll.now);
        let snapshot = self.take_snapshot(poll);
        let drawn = draw(&snapshot, &self.style, &self.picture, self.format);
        if self.draw_failures.note(drawn).is_some() {
            self.drawn = self.in_picture(poll);
            tracing::info!(rows = self.drawn.shown, path = %self.picture.display(), "picture drawn");
        }
    }

    /// The snapshot for the page, a new one when it is time.
    fn page_snapshot(&mut self, poll: Poll) -> Option<Arc<Snapshot>> {
        let is_time = self.for_page.next.is_none_or(|next| poll.now >= next) || poll.is_last;
        if is_time && self.for_page.rows != self.accumulator.rows() {
            self.take_snapshot(poll);
        }
        self.for_page.snapshot.clone()
    }

    fn take_snapshot(&mut self, poll: Poll) -> Arc<Snapshot> {
        let begun = Instant::now();
        let snapshot = Arc::new(self.accumulator.snapshot(self.style.view, poll.now_ms));
        let pause = SNAPSHOT_EVERY.max(begun.elapsed() * SNAPSHOT_SHARE);
        self.for_page = PageSnapshot {
            snapshot: Some(Arc::clone(&snapshot)),
            rows: self.accumulator.rows(),
            next: Some(poll.now + pause),
        };
        snapshot
    }
}

/// Logs a failure once while it repeats, and once that it is over.
#[derive(Default)]
struct FailureLog {
    logged: Option<String>,
}

impl FailureLog {
    fn note<T>(&mut self, outcome: Result<T, PlotError>) -> Option<T> {
        match outcome {
            Ok(value) => {
                if self.logged.take().is_some() {
                    tracing::info!("the trouble with the picture is over");
                }
                Some(value)
            }
            Err(error) => {
                let text = crate::telemetry::with_causes(&error);
                if self.logged.as_ref() != Some(&text) {
                    tracing::error!(error = %text, "no new picture; it is tried again");
                    self.logged = Some(text);
                }
                None
            }
        }
    }
}
