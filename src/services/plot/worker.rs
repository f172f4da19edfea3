//! The service between two looks at the log: when it draws, what it tells, how it bears trouble.

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

/// The page's numbers age without new rows too.
const VIEW_AGE_MAX: Duration = Duration::from_secs(1);

/// Shortest time between two snapshots for the page.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(500);

/// At most one part in so many of the time goes into snapshots for the page.
const SNAPSHOT_SHARE: u32 = 20;

/// One look at the log.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) now_ms: UnixMs,
    pub(super) now: Instant,
    pub(super) is_last: bool,
}

/// The service between two looks.
pub(super) struct PlotWorker {
    log: PathBuf,
    picture: PathBuf,
    format: Format,
    style: chart::Config,
    settings: Config,
    spec: Option<TaskSpec>,
    accumulator: LogAccumulator,
    /// When a picture was last tried, and what the last one shows.
    tried: Option<Instant>,
    drawn: Drawn,
    is_crowded: bool,
    viewed: Option<Instant>,
    shown: Shown,
    read_trouble: Trouble,
    draw_trouble: Trouble,
}

/// The snapshot that the page has.
#[derive(Default)]
struct Shown {
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
            tried: None,
            drawn: Drawn::default(),
            is_crowded: false,
            viewed: None,
            shown: Shown::default(),
            read_trouble: Trouble::default(),
            draw_trouble: Trouble::default(),
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.accumulator.rows()
    }

    /// Reads what is new, draws if it is time, and returns what the page should show, if that has changed.
    pub(super) fn step(&mut self, look: Look) -> Result<Option<View>, PlotError> {
        let rows_before = self.accumulator.rows();
        self.read(look.now_ms)?;
        if self.is_due(look) {
            self.draw(look);
        }
        let is_old = self
            .viewed
            .is_none_or(|viewed| look.now - viewed >= VIEW_AGE_MAX);
        if self.accumulator.rows() == rows_before && !is_old && !look.is_last {
            return Ok(None);
        }
        self.viewed = Some(look.now);
        let distribution = self.shown(look);
        Ok(Some(View {
            distribution,
            ..self.accumulator.view(look.now_ms)
        }))
    }

    /// Trouble at the very beginning ends the service: the log is not one of ours.
    fn read(&mut self, now_ms: UnixMs) -> Result<(), PlotError> {
        let mut read = self.accumulator.read(now_ms);
        if matches!(read, Ok(true)) {
            tracing::warn!(path = %self.log.display(), "log was cut or replaced, its picture begins anew");
            self.accumulator = LogAccumulator::new(&self.log, &self.settings, self.spec.clone());
            (self.tried, self.drawn, self.shown) = (None, Drawn::default(), Shown::default());
            read = self.accumulator.read(now_ms);
        }
        match read {
            Err(error) if self.accumulator.is_first_look() && !error.is_transient() => {
                Err(error.into())
            }
            read => {
                self.read_trouble.note(read.map_err(PlotError::from));
                Ok(())
            }
        }
    }

    /// A picture of a last time changes when rows leave it, too.
    fn is_due(&mut self, look: Look) -> bool {
        if self.in_picture(look) == self.drawn {
            return false;
        }
        let waited = self
            .tried
            .is_none_or(|tried| look.now - tried >= self.settings.refresh.0);
        look.is_last || (waited && self.accumulator.rows() >= FIRST_PICTURE_ROWS)
    }

    fn in_picture(&mut self, look: Look) -> Drawn {
        let (shown, is_crowded) = self.accumulator.in_picture(look.now_ms);
        if is_crowded && !self.is_crowded && self.settings.last_rows == 0 {
            tracing::warn!(
                rows = WINDOW_ROWS_MAX,
                last = %self.settings.last,
                "more rows came in this time than a picture keeps, it shows the last of them only"
            );
        }
        self.is_crowded = is_crowded;
        Drawn {
            shown,
            rows: self.accumulator.rows(),
        }
    }

    fn draw(&mut self, look: Look) {
        self.tried = Some(look.now);
        let snapshot = self.take_snapshot(look);
        let drawn = draw(&snapshot, &self.style, &self.picture, self.format);
        if self.draw_trouble.note(drawn).is_some() {
            self.drawn = self.in_picture(look);
            tracing::info!(rows = self.drawn.shown, path = %self.picture.display(), "picture drawn");
        }
    }

    /// The snapshot for the page, a new one when it is time.
    fn shown(&mut self, look: Look) -> Option<Arc<Snapshot>> {
        let is_time = self.shown.next.is_none_or(|next| look.now >= next) || look.is_last;
        if is_time && self.shown.rows != self.accumulator.rows() {
            self.take_snapshot(look);
        }
        self.shown.snapshot.clone()
    }

    fn take_snapshot(&mut self, look: Look) -> Arc<Snapshot> {
        let begun = Instant::now();
        let snapshot = Arc::new(self.accumulator.snapshot(self.style.view, look.now_ms));
        let pause = SNAPSHOT_EVERY.max(begun.elapsed() * SNAPSHOT_SHARE);
        self.shown = Shown {
            snapshot: Some(Arc::clone(&snapshot)),
            rows: self.accumulator.rows(),
            next: Some(look.now + pause),
        };
        snapshot
    }
}

/// Says trouble once, and once that it is over.
#[derive(Default)]
struct Trouble {
    said: Option<String>,
}

impl Trouble {
    fn note<T>(&mut self, outcome: Result<T, PlotError>) -> Option<T> {
        match outcome {
            Ok(value) => {
                if self.said.take().is_some() {
                    tracing::info!("the trouble with the picture is over");
                }
                Some(value)
            }
            Err(error) => {
                let text = crate::telemetry::with_causes(&error);
                if self.said.as_ref() != Some(&text) {
                    tracing::error!(error = %text, "no new picture; it is tried again");
                    self.said = Some(text);
                }
                None
            }
        }
    }
}
