//! Checks a logs folder: is every row right, unique, and accounted for?
//!
//! Promise: changes nothing, except that redb may repair its own file; memory is bounded whatever the size of the log,
//! because it is read once for every two million ids. Deliberately absent: repair. The next start of the service repairs a
//! torn last line; everything else is for people to decide.

mod arithmetic;
mod lines;
mod report;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use self::{arithmetic::Arithmetic, lines::each_line, report::FAULTS_LISTED_MAX};
pub use report::Report;

use super::{
    error::MetricError,
    files::{Layout, UNMATCHED_HEADER, UnmatchedLine, parse_row},
    fingerprint::{Fingerprint, Fingerprints},
    progress::Reason,
    store::{Checkpoint, Store},
};
use crate::{
    message::RecordId,
    metric_log::{Disk, HEADER, Lock, LogError, RealDisk, RowRef, Series, read_task, series_in},
    task::TaskChoice,
};

/// Ids that are in memory at once, 24 bytes each.
const IDS_MAX: u64 = 2_000_000;

/// Reads log, store and unmatched of a folder and checks them against each other.
///
/// # Errors
/// When a file cannot be read at all, or a metric process is running there. What is wrong in the files goes to the
/// report.
pub fn verify(logs: &Path) -> Result<Report, MetricError> {
    verify_as(logs, TaskChoice::Auto)
}

/// The same with a given task; with `auto` the folder's `task.json` says it, or else the rows themselves show it.
///
/// # Errors
/// As [`verify`].
pub fn verify_as(logs: &Path, choice: TaskChoice) -> Result<Report, MetricError> {
    let task = match choice.asked() {
        Some(task) => Some(task),
        None => read_task(logs)?.map(|spec| spec.task),
    };
    let mut check = Check {
        report: Report::default(),
        arithmetic: Arithmetic::new(task),
        parts: Vec::new(),
    };
    let live = logs.join("metric_log.csv");
    for series in series_in(&live, &RealDisk).map_err(LogError::io("list", logs))? {
        check.series(logs, &series)?;
    }
    check.arithmetic.conclude(&mut check.report);
    check.ids()?;
    Ok(check.report)
}

/// A log with its side files and its store.
#[derive(Debug)]
struct Part {
    files: Vec<PathBuf>,
    unmatched: PathBuf,
    store: Option<Store>,
    /// Keeps a metric process from starting while this reads.
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct Check {
    report: Report,
    arithmetic: Arithmetic,
    parts: Vec<Part>,
}

/// Where an id was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IdState {
    Row,
    Truth,
    Prediction,
    Pending,
}

impl Check {
    fn series(&mut self, logs: &Path, series: &Series) -> Result<(), MetricError> {
        let suffix = series.stem().strip_prefix("metric_log").unwrap_or_default();
        let layout = Layout::with_suffix(logs, suffix);
        let numbers = series
            .parts(&RealDisk)
            .map_err(LogError::io("list", series.folder()))?;
        let (store, lock) = open_store(&layout)?.unzip();
        let saved = match &store {
            Some(store) => store.checkpoint()?,
            None => None,
        };
        let mut recorded = 0;
        let mut files = Vec::new();
        let newest = numbers.last().map_or(1, |last| last + 1);
        let live = newest.max(saved.map_or(1, |saved| saved.part));
        let all = numbers
            .into_iter()
            .map(|number| (number, series.part(number)));
        for (number, path) in all.chain([(live, series.live())]) {
            if !path.exists() {
                continue;
            }
            let end = saved.map_or(u64::MAX, |saved| match number.cmp(&saved.part) {
                std::cmp::Ordering::Less => u64::MAX,
                std::cmp::Ordering::Equal => saved.log_bytes,
                std::cmp::Ordering::Greater => 0,
            });
            recorded += self.rows(&path, end)?;
            files.push(path);
        }
        let unmatched = self.unmatched(&layout.unmatched, saved.as_ref())?;
        if let (Some(store), Some(saved)) = (&store, &saved) {
            self.accounts(&layout.store, saved, recorded, unmatched, store.len()?);
        }
        self.parts.push(Part {
            files,
            unmatched: layout.unmatched,
            store,
            _lock: lock,
        });
        Ok(())
    }

    /// Checks every row of a file; counts those up to `end`.
    fn rows(&mut self, path: &Path, end: u64) -> Result<u64, MetricError> {
        let mut recorded = 0;
        let mut beyond = 0_u64;
        let Self {
            report, arithmetic, ..
        } = self;
        each_line(path, HEADER, report, &mut |report, at, line| {
            report.rows += 1;
            if at.offset < end {
                recorded += 1;
            } else {
                beyond += 1;
            }
            match RowRef::parse(line) {
                Ok(row) => arithmetic.check(report, path, at, &row),
                Err(reason) => {
                    report.fault(|| format!("`{}` line {}: {reason}", path.display(), at.line));
                }
            }
        })?;
        if beyond > 0 {
            report.notes.push(format!(
                "`{}` has {beyond} rows that the store does not know yet: the process was killed, its next start \
                 takes them over",
                path.display()
            ));
        }
        Ok(recorded)
    }

    fn unmatched(&mut self, path: &Path, saved: Option<&Checkpoint>) -> Result<u64, MetricError> {
        if !path.exists() {
            return Ok(0);
        }
        let end = saved.map_or(u64::MAX, |saved| saved.unmatched_bytes);
        let mut recorded = 0;
        each_line(
            path,
            UNMATCHED_HEADER,
            &mut self.report,
            &mut |report, at, line| {
                report.unmatched += 1;
                recorded += u64::from(at.offset < end);
                if let Err(reason) = UnmatchedLine::parse(line) {
                    report.fault(|| format!("`{}` line {}: {reason}", path.display(), at.line));
                }
            },
        )?;
        Ok(recorded)
    }

    /// Compares what the store has counted with what is there.
    fn accounts(
        &mut self,
        store: &Path,
        saved: &Checkpoint,
        rows: u64,
        unmatched: u64,
        pending: u64,
    ) {
        let report = &mut self.report;
        report.pending += pending;
        let counters = &saved.counters;
        let counted = counters.matched.saturating_add_signed(saved.adopted);
        let unmatched_counted = (counters.expired() + counters.evicted() + counters.late)
            .saturating_add_signed(saved.unmatched_adopted);
        let store = store.display();
        if counted != rows {
            report.fault(|| {
                format!("`{store}` counts {counted} rows, the log has {rows}: were parts moved away or lines edited?")
            });
        }
        if unmatched_counted != unmatched {
            report.fault(|| {
                format!(
                    "`{store}` counts {unmatched_counted} unmatched halves, `unmatched.csv` has {unmatched}"
                )
            });
        }
        if !counters.is_balanced(pending) {
            report.fault(|| {
                format!(
                    "`{store}` is out of balance: {} halves received, {} settled and {pending} pending",
                    counters.received,
                    counters.settled()
                )
            });
        }
    }

    /// Looks for ids that are in two places.
    fn ids(&mut self) -> Result<(), MetricError> {
        let all = self.report.rows + self.report.unmatched + self.report.pending;
        let passes = all.div_ceil(IDS_MAX).max(1);
        let fingerprints = Fingerprints::default();
        let mut twice = BTreeMap::new();
        for pass in 0..passes {
            let mut seen: Vec<(u64, Fingerprint, IdState)> = Vec::new();
            self.each_id(&mut |id, state, _| {
                let fingerprint = fingerprints.of(id);
                let spread = fingerprint.spread();
                if spread % passes == pass {
                    seen.push((spread, fingerprint, state));
                }
            })?;
            seen.sort_unstable_by_key(|(spread, _, state)| (*spread, *state));
            for pair in seen.chunk_by(|a, b| a.1 == b.1) {
                if is_wrong(pair) && twice.len() < FAULTS_LISTED_MAX {
                    twice.insert(pair[0].0, (pair[0].1, Vec::new()));
                } else if is_wrong(pair) {
                    self.report.fault_count += 1;
                }
            }
        }
        self.name(twice, &fingerprints)
    }

    /// Reads everything once more to say which ids these are and where they are.
    fn name(
        &mut self,
        mut twice: BTreeMap<u64, (Fingerprint, Vec<String>)>,
        fingerprints: &Fingerprints,
    ) -> Result<(), MetricError> {
        if twice.is_empty() {
            return Ok(());
        }
        self.each_id(&mut |id, _, place| {
            let fingerprint = fingerprints.of(id);
            if let Some((wanted, places)) = twice.get_mut(&fingerprint.spread())
                && *wanted == fingerprint
                && places.len() < 4
            {
                places.push(format!("{id} in {place}"));
            }
        })?;
        for (_, places) in twice.into_values() {
            self.report
                .fault(|| format!("an id stands more than once: {}", places.join(", ")));
        }
        Ok(())
    }

    fn each_id(
        &self,
        on_id: &mut dyn FnMut(&RecordId, IdState, &dyn fmt::Display),
    ) -> Result<(), MetricError> {
        // Bad lines were reported in the first pass.
        let mut ignored = Report::default();
        for part in &self.parts {
            for path in &part.files {
                each_line(path, HEADER, &mut ignored, &mut |_, at, line| {
                    if let Ok((id, _, _)) = parse_row(line) {
                        on_id(
                            &id,
                            IdState::Row,
                            &format_args!("`{}` line {}", path.display(), at.line),
                        );
                    }
                })?;
            }
            let path = &part.unmatched;
            if path.exists() {
                each_line(path, UNMATCHED_HEADER, &mut ignored, &mut |_, at, line| {
                    if let Ok(half) = UnmatchedLine::parse(line)
                        && half.reason != Reason::Late
                    {
                        let state = match half.kind {
                            super::Kind::Truth => IdState::Truth,
                            super::Kind::Prediction => IdState::Prediction,
                        };
                        let place = format_args!("`{}` line {}", path.display(), at.line);
                        on_id(&half.id, state, &place);
                    }
                })?;
            }
            if let Some(store) = &part.store {
                store.each_half(&mut |half| on_id(&half.id, IdState::Pending, &"the store"))?;
            }
        }
        Ok(())
    }
}

/// An id may be in one row, in one line of `unmatched.csv`, or pending. A pending half beside a row is no fault, a killed
/// process leaves it so: the store does not know the row yet, or the removal of the half was not saved.
fn is_wrong(places: &[(u64, Fingerprint, IdState)]) -> bool {
    let settled = places
        .iter()
        .filter(|(_, _, state)| *state != IdState::Pending)
        .count();
    settled > 1
}

fn open_store(layout: &Layout) -> Result<Option<(Store, Lock)>, MetricError> {
    if !layout.store.exists() {
        return Ok(None);
    }
    let lock = RealDisk
        .lock(&layout.lock)
        .map_err(LogError::io("lock", &layout.lock))?;
    let lock = lock.ok_or_else(|| MetricError::Locked {
        path: layout.lock.clone(),
    })?;
    Ok(Some((Store::open(&RealDisk, &layout.store)?, lock)))
}

#[cfg(test)]
mod tests;
