//! Opening the ledger: rebuilds the state that a crash interrupted from what is on disk.
//!
//! The store says how long the files were when it was last written. Lines beyond that have happened too and are
//! replayed; a torn last line is cut off. A log without a store (one of the original program, or one in a moved folder)
//! is adopted: its rows are kept and its ids remembered.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    config::Config,
    context::RunContext,
    error::MetricError,
    files::{Layout, SideFile, UNMATCHED_HEADER, UnmatchedLine, is_of_other_task, parse_row},
    join::Join,
    ledger::{Adopted, Committed, Ledger, Rotation, day_of},
    loss_tracker::LossTracker,
    partition,
    pending::{Key, Kind},
    progress::{Progress, Reason, count_unmatched},
    run_rows::RunRows,
    store::{Checkpoint, Store},
    unstored::UnstoredHalves,
};
use crate::{
    clock::UnixMs,
    message::RecordId,
    metric_log::{
        Disk, LogError, Scan, Series, Writer, each_line, read_task_on, series_in, task_file,
        write_task,
    },
    task::{Task, TaskSpec},
};

/// Rows are rarely longer. This decides how much of a log's end is read to remember `seen_max` ids.
const ROW_BYTES: u64 = 100;

impl Ledger {
    /// Opens the ledger in a folder, which is made when it is absent.
    ///
    /// # Errors
    /// When the folder cannot be written, a file is foreign or damaged, or halves are pending under another number of
    /// partitions.
    pub fn open(
        disk: Arc<dyn Disk>,
        logs: &Path,
        config: Config,
        context: RunContext,
        now_ms: UnixMs,
    ) -> Result<Self, MetricError> {
        config.check()?;
        let layout = Layout::new(logs, config.partition, config.partitions);
        disk.create_dir_all(&layout.state_dir)
            .map_err(LogError::io("make the folder", &layout.state_dir))?;
        sync_names(&*disk, logs)?;
        refuse_other_partitions(&*disk, &layout, &config)?;
        let RunContext {
            mut spec,
            windows,
            run,
        } = context;
        let is_task_written = adopt_labels(&*disk, logs, &mut spec)?;
        let store = Store::open(&*disk, &layout.store)?;
        let saved = store.checkpoint()?;
        let mut recovery = Recovery::new(
            &*disk,
            &config,
            spec.task,
            saved.as_ref(),
            RunRows::new(run),
            now_ms,
        );
        let stored_through = recovery.restore(&store, saved.as_ref())?;
        let unmatched = recovery.unmatched(&layout, saved.as_ref())?;
        let (log, part) = recovery.log(&layout.log, saved.as_ref())?;
        let corrections = recovery.corrections(&layout, saved.as_ref())?;
        recovery.count_unmatched(&layout, &unmatched, saved.as_ref())?;
        let Recovery {
            mut join,
            removed,
            adopted,
            parts,
            run_rows,
            other_task,
            ..
        } = recovery;
        refuse_other_task(other_task, spec.task)?;
        if !is_task_written && spec.is_classification() {
            write_task(&*disk, logs, &spec)?;
        }
        join.balance();
        let is_first = saved.is_none();
        let loss_tracker = LossTracker::new(spec.clone(), windows, store.log_loss()?);
        let mut ledger = Self {
            adopted,
            rotation: rotation(parts, part, saved.as_ref(), now_ms),
            saved: saved.unwrap_or_default(),
            saved_ms: now_ms,
            store_through: Key::default(),
            rewritten: Vec::new(),
            committed: Committed::default(),
            run_rows,
            disk,
            config,
            spec,
            layout,
            join,
            unstored: UnstoredHalves::restored(stored_through),
            loss_tracker,
            store,
            log,
            unmatched,
            corrections,
            removed,
        };
        ledger.save(Vec::new(), now_ms)?;
        ledger.log_recovery(is_first);
        Ok(ledger)
    }

    /// One line about what the start found: `replayed` rows were in the log and not yet in the store.
    fn log_recovery(&self, is_first: bool) {
        let Progress { rows, pending, .. } = self.progress();
        let replayed = self.run_rows.replayed();
        let log = self.log.path().display();
        if is_first {
            tracing::info!(%log, rows, "ledger begun");
        } else {
            tracing::info!(%log, rows, pending, replayed, "ledger recovered");
        }
    }
}

/// The live file keeps its day, unless it was begun after the last checkpoint.
fn rotation(parts: u32, part: u32, saved: Option<&Checkpoint>, now_ms: UnixMs) -> Rotation {
    let same_part = saved.filter(|saved| saved.part == part);
    Rotation {
        parts,
        part,
        day: same_part.map_or(day_of(now_ms), |saved| saved.day),
    }
}

/// Makes the folder's own name durable: if it was just created, a power cut could otherwise remove it together with
/// everything that was acknowledged since.
fn sync_names(disk: &dyn Disk, logs: &Path) -> Result<(), LogError> {
    let parent = logs.parent().unwrap_or(Path::new("/"));
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    for folder in [parent, logs] {
        disk.sync_dir(folder)
            .map_err(LogError::io("sync the folder", folder))?;
    }
    Ok(())
}

/// Compares what the folder's `task.json` says with what this process expects, and takes over labels that only the file
/// knows. Returns whether the file is complete, so that it need not be written.
fn adopt_labels(disk: &dyn Disk, logs: &Path, spec: &mut TaskSpec) -> Result<bool, MetricError> {
    let Some(said) = read_task_on(disk, logs)? else {
        return Ok(false);
    };
    if !said.agrees(spec) {
        return Err(MetricError::OtherLabels {
            path: task_file(logs),
            said: said.to_string(),
            wanted: spec.to_string(),
        });
    }
    if spec.labels.is_none() {
        *spec = said;
        return Ok(true);
    }
    Ok(said.labels.is_some())
}

fn refuse_other_task(found: Option<(PathBuf, String)>, wanted: Task) -> Result<(), MetricError> {
    match found {
        None => Ok(()),
        Some((path, line)) => Err(MetricError::OtherTask {
            path,
            line: line.chars().take(120).collect(),
            wanted,
        }),
    }
}

/// Refuses to start while a store of another number of partitions still has halves.
fn refuse_other_partitions(
    disk: &dyn Disk,
    layout: &Layout,
    config: &Config,
) -> Result<(), MetricError> {
    let files = disk
        .list(&layout.state_dir)
        .map_err(LogError::io("list", &layout.state_dir))?;
    let mut stores: Vec<_> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "redb"))
        .filter(|path| *path != layout.store)
        .collect();
    stores.sort_unstable();
    for path in stores {
        if partitions_in_name(&path) == Some(config.partitions) {
            continue;
        }
        // A process with the old number of partitions may still be running.
        let lock_path = path.with_extension("lock");
        let lock = disk
            .lock(&lock_path)
            .map_err(LogError::io("lock", &lock_path))?;
        if lock.is_none() {
            return Err(MetricError::Locked { path: lock_path });
        }
        let store = Store::open(disk, &path)?;
        let pending = store.len()?;
        if pending > 0 {
            return Err(MetricError::Partitions {
                path,
                pending,
                old: store.checkpoint()?.map_or(1, |saved| saved.partitions),
                new: config.partitions,
            });
        }
    }
    Ok(())
}

/// 4 for `ledger-0of4.redb`, 1 for `ledger.redb`.
fn partitions_in_name(path: &Path) -> Option<u32> {
    let stem = path.file_stem()?.to_str()?;
    match stem.rsplit_once("of") {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    }
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    config: &'a Config,
    task: Task,
    join: Join,
    removed: Vec<Key>,
    adopted: Adopted,
    parts: u32,
    now_ms: UnixMs,
    run_rows: RunRows,
    /// The first row that adds up only as one of the other task.
    other_task: Option<(PathBuf, String)>,
}

impl<'a> Recovery<'a> {
    fn new(
        disk: &'a dyn Disk,
        config: &'a Config,
        task: Task,
        saved: Option<&Checkpoint>,
        run_rows: RunRows,
        now_ms: UnixMs,
    ) -> Self {
        Self {
            disk,
            join: Join::new(config),
            config,
            task,
            removed: Vec::new(),
            adopted: saved.map_or_else(Adopted::default, |saved| Adopted {
                rows: saved.adopted,
                unmatched: saved.unmatched_adopted,
            }),
            parts: 0,
            now_ms,
            run_rows,
            other_task: None,
        }
    }
}

impl Recovery<'_> {
    /// Takes over what the store has; returns the newest key in it.
    fn restore(&mut self, store: &Store, saved: Option<&Checkpoint>) -> Result<Key, MetricError> {
        let mut last = Key(saved.map_or(0, |saved| saved.last_key));
        let join = &mut self.join;
        join.counters = saved.map_or_else(Default::default, |saved| saved.counters);
        store.each_half(&mut |half| {
            join.restore(&half.id, half.value, half.key);
            last = last.max(half.key);
        })?;
        join.restore_last_key(last);
        Ok(last)
    }

    fn unmatched(
        &mut self,
        layout: &Layout,
        saved: Option<&Checkpoint>,
    ) -> Result<SideFile, MetricError> {
        let recorded = saved.map(|saved| saved.unmatched_bytes);
        let scan = Scan {
            header: UNMATCHED_HEADER,
            recorded,
            from: self.tail_of(&layout.unmatched, recorded)?,
            is_complete: UnmatchedLine::is_complete,
        };
        let (disk, end) = (self.disk, recorded.unwrap_or(u64::MAX));
        let file = SideFile::open(disk, &layout.unmatched, scan, &mut |offset, line| {
            self.unmatched_line(&UnmatchedLine::parse(line)?, offset >= end);
            Ok(())
        })?;
        Ok(file)
    }

    fn unmatched_line(&mut self, line: &UnmatchedLine, is_new: bool) {
        let (y_true, y_pred) = match line.kind {
            Kind::Truth => (Some(line.value), None),
            Kind::Prediction => (None, Some(line.value)),
        };
        if is_new {
            count_unmatched(&mut self.join.counters, line.kind, line.reason);
            if line.reason != Reason::Late {
                self.removed.extend(self.join.take(&line.id));
            }
        }
        self.join.remember(&line.id, y_true, y_pred, self.now_ms);
    }

    fn corrections(
        &mut self,
        layout: &Layout,
        saved: Option<&Checkpoint>,
    ) -> Result<SideFile, MetricError> {
        let recorded = saved.map(|saved| saved.corrections_bytes);
        let scan = Scan {
            recorded,
            from: self.tail_of(&layout.corrections, recorded)?,
            ..Scan::fresh_log(self.task)
        };
        let (disk, end) = (self.disk, recorded.unwrap_or(u64::MAX));
        let file = SideFile::open(disk, &layout.corrections, scan, &mut |offset, line| {
            let (id, y_true, _) = parse_row(line)?;
            self.join.remember_correction(&id, y_true);
            self.join.counters.conflicting += u64::from(offset >= end);
            Ok(())
        })?;
        Ok(file)
    }

    /// Opens the live log and returns it with its number, after reading of the older parts what is needed.
    fn log(
        &mut self,
        series: &Series,
        saved: Option<&Checkpoint>,
    ) -> Result<(Writer, u32), MetricError> {
        let parts = series
            .parts(self.disk)
            .map_err(LogError::io("list", series.folder()))?;
        self.parts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let after_parts = parts.last().map_or(1, |last| last + 1);
        let live = after_parts.max(saved.map_or(1, |saved| saved.part));
        let Some(saved) = saved else {
            self.remember_others(series)?;
            for number in parts {
                self.log_file(&series.part(number), None, 0)?;
            }
            return Ok((self.log_file(&series.live(), None, 0)?, live));
        };
        self.remember_older(series, &parts, saved)?;
        let is_cut = self.is_cut(series, &parts, live, saved)?;
        for number in parts.into_iter().filter(|number| *number >= saved.part) {
            // Rotated after the last checkpoint.
            let recorded = if number == saved.part {
                saved.log_bytes
            } else {
                0
            };
            let path = series.part(number);
            let from = self.tail_of(&path, Some(recorded))?;
            self.log_file(&path, Some(recorded), from)?;
        }
        let recorded = if live == saved.part {
            saved.log_bytes
        } else {
            0
        };
        let from = self.tail_of(&series.live(), Some(recorded))?;
        let log = self.log_file(&series.live(), Some(recorded), from)?;
        if is_cut {
            self.count_rows(series)?;
        }
        Ok((log, live))
    }

    /// Whether somebody has removed rows or parts since the last checkpoint.
    fn is_cut(
        &self,
        series: &Series,
        parts: &[u32],
        live: u32,
        saved: &Checkpoint,
    ) -> Result<bool, MetricError> {
        let older = parts.iter().filter(|number| **number < saved.part).count();
        let rotated = series.part(saved.part);
        let path = if live == saved.part {
            series.live()
        } else {
            rotated
        };
        let size = if self.exists(&path)? {
            self.size_of(&path)?
        } else {
            0
        };
        let is_cut = older != saved.parts as usize || size < saved.log_bytes;
        if is_cut {
            tracing::warn!(
                log = %series.live().display(),
                "rows or parts of the log were removed since the last start; they are no longer counted"
            );
        }
        Ok(is_cut)
    }

    fn count_rows(&mut self, series: &Series) -> Result<(), MetricError> {
        let parts = series
            .parts(self.disk)
            .map_err(LogError::io("list", series.folder()))?;
        let parts = parts.into_iter().map(|number| series.part(number));
        let mut rows = 0;
        for path in parts.chain([series.live()]) {
            each_line(self.disk, &path, 0, &mut |_| rows += 1)?;
        }
        self.adopted.rows = difference(rows, self.join.counters.matched);
        Ok(())
    }

    /// Counts `unmatched.csv` again where lines are missing: people may remove lines that they have dealt with.
    fn count_unmatched(
        &mut self,
        layout: &Layout,
        file: &SideFile,
        saved: Option<&Checkpoint>,
    ) -> Result<(), MetricError> {
        let is_cut = saved.is_none_or(|saved| file.durable() < saved.unmatched_bytes);
        if is_cut {
            let mut lines = 0;
            if self.exists(&layout.unmatched)? {
                each_line(self.disk, &layout.unmatched, 0, &mut |_| lines += 1)?;
            }
            let counters = &self.join.counters;
            let counted = counters.expired() + counters.evicted() + counters.late;
            self.adopted.unmatched = difference(lines, counted);
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool, MetricError> {
        Ok(self
            .disk
            .exists(path)
            .map_err(LogError::io("look for", path))?)
    }

    /// Older parts whose rows are counted already: only their newest ids are remembered.
    fn remember_older(
        &mut self,
        series: &Series,
        parts: &[u32],
        saved: &Checkpoint,
    ) -> Result<(), MetricError> {
        let mut wanted = self.remembered_bytes().saturating_sub(saved.log_bytes);
        let mut older = Vec::new();
        for number in parts.iter().rev().filter(|number| **number < saved.part) {
            if wanted == 0 {
                break;
            }
            let path = series.part(*number);
            let size = self.size_of(&path)?;
            older.push((path, size, size.saturating_sub(wanted)));
            wanted = wanted.saturating_sub(size);
        }
        for (path, size, from) in older.into_iter().rev() {
            self.log_file(&path, Some(size), from)?;
        }
        Ok(())
    }

    /// After a change of the number of partitions, remembers the ids of this one that others have recorded.
    fn remember_others(&mut self, own: &Series) -> Result<(), MetricError> {
        let whole = Series::new(own.folder(), "metric_log").live();
        let all = series_in(&whole, self.disk).map_err(LogError::io("list", own.folder()))?;
        for other in all.into_iter().filter(|other| other != own) {
            let path = other.live();
            if self
                .disk
                .exists(&path)
                .map_err(LogError::io("look for", &path))?
            {
                let size = self.size_of(&path)?;
                let from = size.saturating_sub(self.remembered_bytes());
                self.remember_file(&path, from)?;
            }
        }
        Ok(())
    }

    /// Reads without repairing anything, because another process may be writing that file.
    fn remember_file(&mut self, path: &Path, from: u64) -> Result<(), MetricError> {
        each_line(self.disk, path, from, &mut |line| {
            if let Ok((id, y_true, y_pred)) = parse_row(line)
                && partition::is_mine(&id, self.config)
            {
                self.join
                    .remember(&id, Some(y_true), Some(y_pred), self.now_ms);
            }
        })?;
        Ok(())
    }

    fn log_file(
        &mut self,
        path: &Path,
        recorded: Option<u64>,
        from: u64,
    ) -> Result<Writer, MetricError> {
        let scan = Scan {
            recorded,
            from,
            ..Scan::fresh_log(self.task)
        };
        let disk = self.disk;
        let task = self.task;
        let writer = Writer::open(disk, path, scan, &mut |offset, line| {
            let (id, y_true, y_pred) = parse_row(line)?;
            // Only noted here: an error would make the writer cut the file off at this line.
            if self.other_task.is_none() && is_of_other_task(line, task) {
                self.other_task = Some((path.to_owned(), line.to_owned()));
            }
            self.log_line(&id, y_true, y_pred, recorded.map(|end| offset >= end));
            Ok(())
        })?;
        Ok(writer)
    }

    /// `is_new` is none for a log that is adopted.
    fn log_line(&mut self, id: &RecordId, y_true: f64, y_pred: f64, is_new: Option<bool>) {
        match is_new {
            None => self.adopted.rows += 1,
            Some(true) => {
                self.join.counters.matched += 1;
                self.run_rows.note_replayed(id);
                self.removed.extend(self.join.take(id));
            }
            Some(false) => {}
        }
        self.join
            .remember(id, Some(y_true), Some(y_pred), self.now_ms);
    }

    /// Where to begin reading a file: before everything new, and before as many ids as are to be remembered.
    fn tail_of(&self, path: &Path, recorded: Option<u64>) -> Result<u64, MetricError> {
        let Some(recorded) = recorded else {
            return Ok(0);
        };
        if !self.exists(path)? {
            return Ok(0);
        }
        let size = self.size_of(path)?;
        Ok(recorded.min(size.saturating_sub(self.remembered_bytes())))
    }

    fn remembered_bytes(&self) -> u64 {
        u64::from(self.config.seen_max) * ROW_BYTES
    }

    fn size_of(&self, path: &Path) -> Result<u64, MetricError> {
        let size = self
            .disk
            .open(path)
            .and_then(|file| file.size())
            .map_err(LogError::io("size", path))?;
        Ok(size)
    }
}

fn difference(there: u64, counted: u64) -> i64 {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    signed(there) - signed(counted)
}
