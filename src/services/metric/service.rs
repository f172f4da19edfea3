//! The loop between the bus and the ledger.
//!
//! Groups form by themselves: while one is being committed, the next is received; how the two topics keep one pace is
//! up to [`Pacing`]. The ledger works on a blocking thread (or inline, in a simulation); nothing else blocks. When the
//! disk fails, nothing is acknowledged and nothing more received; the ledger is opened again and again until it can record,
//! and takes in again what was not settled.

use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    config::Config,
    context::RunContext,
    error::MetricError,
    files::Layout,
    ledger::{Committed, Flush, Ledger, ROWS_LOGGED_MAX, real_disk},
    pacing::Pacing,
    pending::Kind,
    progress::Progress,
    progress_feed::ProgressFeed,
    unsettled::{CommitOutcome, UnsettledDeliveries, process},
};
use crate::{
    bus::{BusError, Consumer},
    clock::Clock,
    metric_log::{Disk, Lock, LogError},
};

/// The target of the event, on the level `debug`, that reports at the end how long the rows took: `p50`, `p99`, `p999`,
/// `began_us` and `ended_us`, as in [`Progress`].
pub const TIMES: &str = "residual::times";

/// First and longest wait between two attempts to open the ledger again.
const BACKOFF_MS: (u64, u64) = (100, 5_000);
/// Without any deadline the loop still wakes up this often.
const IDLE: Duration = Duration::from_secs(3_600);

/// Where the service gets its halves, and where it reports its progress.
pub struct Ports {
    /// Of topic `y_true`, in the group of [`super::group`].
    pub truths: Box<dyn Consumer>,
    /// Of topic `y_pred`, in the same group.
    pub predictions: Box<dyn Consumer>,
    /// Updated after every commit.
    pub progress: watch::Sender<Progress>,
}

/// Where the ledger is stored, and who works on it.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The logs folder.
    pub logs: PathBuf,
    /// The disk with that folder.
    pub disk: Arc<dyn Disk>,
    /// Where blocking work is done.
    pub blocking_work: BlockingWork,
}

impl Storage {
    /// A folder of the operating system.
    #[must_use]
    pub fn real(logs: impl Into<PathBuf>) -> Self {
        Self {
            logs: logs.into(),
            disk: real_disk(),
            blocking_work: BlockingWork::Threads,
        }
    }
}

/// Where blocking work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockingWork {
    /// The runtime's blocking threads.
    Threads,
    /// The service's own task, so that a simulation is deterministic.
    Inline,
}

/// Runs until `stop`, then drains: what was received is committed and settled, the rest is released.
///
/// # Errors
/// When the log or the store cannot be used as it is, another process writes to the same folder, or the bus failed for
/// good. A full or failing disk is not an error: it is logged once and waited out, unless `stop` comes first.
pub async fn run(
    ports: Ports,
    settings: Config,
    storage: Storage,
    context: RunContext,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), MetricError> {
    settings.check()?;
    let lock = lock(&settings, &storage)?;
    let now = Instant::now();
    let Ports {
        truths,
        predictions,
        progress,
    } = ports;
    let mut service = Service {
        truths,
        predictions,
        feed: ProgressFeed::new(progress),
        unsettled: UnsettledDeliveries::default(),
        ledger: None,
        job: None,
        is_opening: false,
        outcome: None,
        failure: None,
        backoff_ms: BACKOFF_MS.0,
        next_start: now,
        pacing: Pacing::new(&settings, now),
        settings,
        storage,
        context,
        clock,
    };
    let result = service.serve(&stop).await;
    let closed = service.close().await;
    drop(lock);
    result.and(closed)
}

fn lock(settings: &Config, storage: &Storage) -> Result<Lock, MetricError> {
    let layout = Layout::new(&storage.logs, settings.partition, settings.partitions);
    storage
        .disk
        .create_dir_all(&layout.state_dir)
        .map_err(LogError::io("make the folder", &layout.state_dir))?;
    let lock = storage
        .disk
        .lock(&layout.lock)
        .map_err(LogError::io("lock", &layout.lock))?;
    lock.ok_or(MetricError::Locked { path: layout.lock })
}

type Job =
    Pin<Box<dyn Future<Output = (Option<Ledger>, Result<CommitOutcome, MetricError>)> + Send>>;

struct Service {
    truths: Box<dyn Consumer>,
    predictions: Box<dyn Consumer>,
    feed: ProgressFeed,
    settings: Config,
    storage: Storage,
    context: RunContext,
    clock: Clock,
    unsettled: UnsettledDeliveries,
    /// None while a job has it, and after a failure.
    ledger: Option<Ledger>,
    job: Option<Job>,
    /// The running job opens the ledger.
    is_opening: bool,
    /// Committed but not yet settled.
    outcome: Option<CommitOutcome>,
    /// Why the last job failed.
    failure: Option<MetricError>,
    backoff_ms: u64,
    next_start: Instant,
    pacing: Pacing,
}

impl Service {
    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), MetricError> {
        self.start_opening();
        while !stop.is_cancelled() {
            self.step(stop).await?;
            self.start_due();
            self.settle().await?;
        }
        self.truths.stop().await?;
        self.predictions.stop().await?;
        self.drain().await
    }

    /// Waits for the next event and handles it.
    async fn step(&mut self, stop: &CancellationToken) -> Result<(), MetricError> {
        let (truth_room, prediction_room) = (self.room(Kind::Truth), self.room(Kind::Prediction));
        let wake = self.wake();
        // Biased, so that a simulation is deterministic. No branch starves: a topic that has filled its share is disabled.
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            (ledger, result) = finished(&mut self.job) => self.finish(ledger, result)?,
            got = self.truths.recv(truth_room, Duration::ZERO), if truth_room > 0 => {
                self.unsettled.push(Kind::Truth, some(got?)?);
            }
            got = self.predictions.recv(prediction_room, Duration::ZERO),
                if prediction_room > 0 =>
            {
                self.unsettled.push(Kind::Prediction, some(got?)?);
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        Ok(())
    }

    /// Deliveries of that topic that may be received now; none while the disk fails, or the topic is ahead.
    fn room(&self, kind: Kind) -> usize {
        if self.failure.is_some() || self.pacing.paused_until(kind, Instant::now()).is_some() {
            return 0;
        }
        self.capacity(kind)
    }

    /// Deliveries of that topic that may still join the next group.
    fn capacity(&self, kind: Kind) -> usize {
        self.settings
            .group_max
            .saturating_sub(self.unsettled.unprocessed(kind))
    }

    /// When to wake up even if nothing arrives.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        if self.job.is_some() {
            return now + IDLE;
        }
        let Some(ledger) = &self.ledger else {
            return self.next_start;
        };
        if self.unsettled.has_unprocessed() {
            return self.next_start;
        }
        let left_ms = ledger
            .deadline_ms()
            .map(|at| at.saturating_sub(self.clock.now_ms()));
        let deadline = now + left_ms.map_or(IDLE, Duration::from_millis).min(IDLE);
        let paused =
            [Kind::Truth, Kind::Prediction].map(|kind| self.pacing.paused_until(kind, now));
        paused.into_iter().flatten().fold(deadline, Instant::min)
    }

    /// Starts the next job if there is something to do and no job is running.
    fn start_due(&mut self) {
        if self.job.is_some() {
            return;
        }
        let is_time = Instant::now() >= self.next_start;
        if self.ledger.is_none() {
            if is_time {
                self.start_opening();
            }
            return;
        }
        let is_overdue = self
            .ledger
            .as_ref()
            .and_then(Ledger::deadline_ms)
            .is_some_and(|at| at <= self.clock.now_ms());
        let is_full = self.capacity(Kind::Truth) == 0 || self.capacity(Kind::Prediction) == 0;
        if is_overdue
            || self.failure.is_some()
            || (self.unsettled.has_unprocessed() && (is_time || is_full))
        {
            self.start(Flush::Due);
        }
    }

    fn start(&mut self, flush: Flush) {
        let Some(mut ledger) = self.ledger.take() else {
            return;
        };
        self.next_start = Instant::now() + Duration::from_millis(self.settings.linger_ms);
        for kind in [Kind::Truth, Kind::Prediction] {
            self.pacing.note_group(kind, self.capacity(kind) == 0);
        }
        let request = self.unsettled.next_request(flush, self.clock.now_ms());
        self.job = Some(offload(self.storage.blocking_work, move || {
            let result = process(&mut ledger, request);
            (Some(ledger), result)
        }));
    }

    fn start_opening(&mut self) {
        self.is_opening = true;
        self.unsettled.reprocess_all();
        let (storage, settings) = (self.storage.clone(), self.settings.clone());
        let context = self.context.clone();
        let now_ms = self.clock.now_ms();
        self.job = Some(offload(
            self.storage.blocking_work,
            move || match Ledger::open(storage.disk, &storage.logs, settings, context, now_ms) {
                Ok(ledger) => (Some(ledger), Ok(CommitOutcome::default())),
                Err(error) => (None, Err(error)),
            },
        ));
    }

    fn finish(
        &mut self,
        ledger: Option<Ledger>,
        result: Result<CommitOutcome, MetricError>,
    ) -> Result<(), MetricError> {
        match result {
            Ok(outcome) => {
                self.ledger = ledger;
                // Only a commit shows that the disk works again; opening the ledger alone does not.
                if std::mem::take(&mut self.is_opening) {
                    self.resume_run();
                } else {
                    self.note_recovery();
                }
                self.report(&outcome.committed);
                self.outcome = Some(outcome);
                Ok(())
            }
            Err(error) if error.is_transient() => {
                drop(ledger);
                self.note_failure(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn note_failure(&mut self, error: MetricError) {
        let reason = crate::telemetry::with_causes(&error);
        if self.failure.is_none() {
            tracing::error!(
                error = %reason,
                "nothing can be recorded; deliveries are kept and it is tried again until the disk recovers"
            );
        }
        self.feed.report_failing(Some(reason.into()));
        self.failure = Some(error);
        self.next_start = Instant::now() + Duration::from_millis(self.backoff_ms);
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS.1);
    }

    /// A ledger that was opened again goes on counting where the one before it had reported to.
    fn resume_run(&mut self) {
        let last = self.feed.last();
        if let Some(ledger) = &mut self.ledger
            && self.failure.is_some()
            && *last != Progress::default()
        {
            ledger.resume_run(last.rows, last.rows_of_run);
        }
    }

    fn note_recovery(&mut self) {
        self.backoff_ms = BACKOFF_MS.0;
        if self.failure.take().is_some() {
            tracing::info!("recording again");
        }
    }

    fn report(&mut self, committed: &Committed) {
        log_rows(committed);
        let progress = self.ledger.as_ref().map(Ledger::progress);
        if let Some(progress) = &progress {
            let before = self.feed.last().counters.received;
            let received = progress.counters.received.saturating_sub(before);
            let recorded = committed.recorded as u64;
            self.pacing.note_commit(received, recorded, Instant::now());
        }
        let failing = self.failure.as_ref();
        let failing = failing.map(|error| crate::telemetry::with_causes(error).into());
        self.feed
            .report(progress, &committed.minted_us, self.clock.now_us(), failing);
    }

    /// Sends rejected records to the dead letters, then settles what is durable.
    async fn settle(&mut self) -> Result<(), MetricError> {
        let Some(mut outcome) = self.outcome.take() else {
            return Ok(());
        };
        for kind in [Kind::Truth, Kind::Prediction] {
            let settlement = self.unsettled.settle(kind, &mut outcome);
            let consumer = match kind {
                Kind::Truth => &mut self.truths,
                Kind::Prediction => &mut self.predictions,
            };
            if !settlement.letters.is_empty() {
                consumer.dead_letter(settlement.letters).await?;
            }
            if !settlement.verdicts.is_empty() {
                consumer.settle(settlement.verdicts).await?;
            }
            self.pacing
                .note_unsettled(kind, self.unsettled.processed(kind));
        }
        Ok(())
    }

    /// Commits and settles everything that was received.
    async fn drain(&mut self) -> Result<(), MetricError> {
        if self.job.is_some() {
            let (ledger, result) = finished(&mut self.job).await;
            self.finish(ledger, result)?;
            self.settle().await?;
        }
        if self.ledger.is_some() {
            self.start(Flush::All);
            let (ledger, result) = finished(&mut self.job).await;
            self.finish(ledger, result)?;
            self.settle().await?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Leaves the groups, which releases what is not settled.
    async fn close(self) -> Result<(), MetricError> {
        let last = self.feed.last();
        let counters = last.counters;
        let [p50, p99, p999] = last.row_latency_us.unwrap_or_default();
        let [began_us, ended_us] = last.span_us.unwrap_or_default();
        tracing::debug!(target: TIMES, p50, p99, p999, began_us, ended_us, "times of the rows");
        tracing::info!(
            received = counters.received,
            matched = counters.matched,
            duplicate = counters.duplicate,
            conflicting = counters.conflicting,
            expired = counters.expired(),
            late = counters.late,
            evicted = counters.evicted(),
            malformed = counters.malformed,
            pending = last.pending,
            "ledger closed"
        );
        let closed = self.truths.close().await;
        self.predictions.close().await?;
        Ok(closed?)
    }
}

/// A small group row by row, a larger one as a count.
fn log_rows(committed: &Committed) {
    let is_small = committed.recorded <= ROWS_LOGGED_MAX;
    if !is_small {
        tracing::info!(rows = committed.recorded, "recorded");
    }
    for row in &committed.rows {
        let (id, y_true, y_pred) = (&row.id, row.y_true, row.y_pred);
        let absolute_error = row.absolute_error;
        if is_small {
            tracing::info!(%id, y_true, y_pred, absolute_error, "recorded");
        } else {
            tracing::debug!(%id, y_true, y_pred, absolute_error, "recorded");
        }
    }
}

/// Waits for the running job; without one, for ever.
async fn finished(job: &mut Option<Job>) -> (Option<Ledger>, Result<CommitOutcome, MetricError>) {
    let output = match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    };
    *job = None;
    output
}

fn offload(
    to: BlockingWork,
    work: impl FnOnce() -> (Option<Ledger>, Result<CommitOutcome, MetricError>) + Send + 'static,
) -> Job {
    match to {
        BlockingWork::Inline => Box::pin(async move { work() }),
        BlockingWork::Threads => {
            let task = tokio::task::spawn_blocking(work);
            Box::pin(async move { task.await.unwrap_or_else(|error| (None, Err(error.into()))) })
        }
    }
}

/// A consumer returns nothing only after it was stopped, and nobody has stopped it yet.
fn some<T>(deliveries: Vec<T>) -> Result<Vec<T>, BusError> {
    if deliveries.is_empty() {
        Err(BusError::Closed)
    } else {
        Ok(deliveries)
    }
}
