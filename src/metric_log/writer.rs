//! An append-only CSV file that knows how much of it is durable.
//!
//! Promise: what [`Writer::flush`] has written when it returns survives a power cut; a crash during it leaves at most a torn
//! last line, which the next [`Writer::open`] cuts off. After an error the writer must be dropped and the file opened
//! again, because nothing is known about a file whose sync failed.

use std::path::{Path, PathBuf};

use super::{Disk, DiskFile, HEADER, LineError, LogError, RowRef, rewrite_in_place};
use crate::task::Task;

/// Also the longest line that is held in memory at once.
const CHUNK_BYTES: usize = 1 << 20;

/// How a file is checked when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// What its first line must be.
    pub header: &'static str,
    /// How far it is known to be written; `None` for a file that is adopted. Beyond this point the file is cut off at the
    /// first bad line; before it, a bad line is an error.
    pub recorded: Option<u64>,
    /// Lines before this offset are not read; rounded up to the next line.
    pub from: u64,
    /// Whether a last line without line feed is complete otherwise.
    pub is_complete: fn(&str) -> bool,
}

impl Scan {
    /// A log from its first row, of which only the task is known.
    #[must_use]
    pub fn fresh_log(task: Task) -> Self {
        Self {
            header: HEADER,
            recorded: None,
            from: 0,
            is_complete: match task {
                Task::Regression => RowRef::is_complete,
                Task::Classification => RowRef::is_complete_label,
            },
        }
    }
}

/// An append-only CSV file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    durable: u64,
    header_size: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Opens or creates a file, repairs its end, and passes each line that the scan covers to `on_line` with its offset.
    ///
    /// What is beyond `recorded` is first written over itself, because after a failed sync in an earlier process it may be
    /// in the page cache only.
    ///
    /// # Errors
    /// A foreign header, a bad line before `recorded`, or the file system.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        scan: Scan,
        on_line: &mut dyn FnMut(u64, &str) -> Result<(), LineError>,
    ) -> Result<Self, LogError> {
        let file = disk.open(path).map_err(LogError::io("open", path))?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            durable: 0,
            header_size: 0,
            buffer: Vec::new(),
        };
        if writer.begin(scan.header)? {
            writer.repair(scan, on_line)?;
        }
        writer.sync()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(folder)
            .map_err(LogError::io("sync the folder", folder))?;
        Ok(writer)
    }

    /// Lines are appended here; [`Writer::flush`] makes them durable.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are known to survive.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether the file has only its header.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.durable <= self.header_size
    }

    /// Appends the buffer and waits until it is durable. Without a buffer it does nothing.
    ///
    /// # Errors
    /// From the file system. What was partly written is cut off again if possible; the file must then be opened again.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.append();
        if result.is_err() {
            // Best effort: opening the file again repairs what is left.
            drop(self.file.set_size(self.durable));
        }
        result
    }

    fn append(&mut self) -> Result<(), LogError> {
        self.file
            .write_at(self.durable, &self.buffer)
            .map_err(LogError::io("append to", &self.path))?;
        self.sync()?;
        self.durable += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        self.file.sync().map_err(LogError::io("sync", &self.path))
    }

    /// Checks the header, or writes it if the file has none yet. Returns whether there was one.
    fn begin(&mut self, header: &'static str) -> Result<bool, LogError> {
        let size = self.size()?;
        let first = self.read(0, 4096)?;
        let wanted = format!("{header}\n");
        if size < wanted.len() as u64 && wanted.as_bytes().starts_with(&first) {
            self.truncate(0)?;
            self.write(0, wanted.as_bytes())?;
            self.header_size = wanted.len() as u64;
            self.durable = self.header_size;
            return Ok(false);
        }
        for ending in ["\n", "\r\n"] {
            let line = format!("{header}{ending}");
            if first.starts_with(line.as_bytes()) {
                self.header_size = line.len() as u64;
                return Ok(true);
            }
        }
        let found = first
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        Err(LogError::Header {
            path: self.path.clone(),
            found: String::from_utf8_lossy(found).chars().take(80).collect(),
            expected: header,
        })
    }

    fn repair(
        &mut self,
        scan: Scan,
        on_line: &mut dyn FnMut(u64, &str) -> Result<(), LineError>,
    ) -> Result<(), LogError> {
        let size = self.size()?;
        let recorded = scan.recorded.map(|recorded| self.written(recorded, size));
        let from = self.line_start(scan.from.max(self.header_size).min(size))?;
        let cut_from = recorded.unwrap_or(u64::MAX);
        let mut end = self.each_line(from, cut_from, on_line)?;
        if end < size {
            end = self.finish_last_line(end, size, scan.is_complete, on_line)?;
        }
        rewrite_in_place(&*self.file, recorded.unwrap_or(end), end)
            .map_err(LogError::io("write", &self.path))?;
        self.durable = end;
        Ok(())
    }

    /// How far the file is written. Shorter than recorded means that somebody else cut it; that is logged, and what is left
    /// counts.
    fn written(&self, recorded: u64, size: u64) -> u64 {
        if recorded > size {
            tracing::warn!(
                path = %self.path.display(), recorded_bytes = recorded, size_bytes = size,
                "file is shorter than recorded, its last lines were removed by somebody else"
            );
        }
        recorded.min(size).max(self.header_size)
    }

    /// The first line start at or after an offset.
    fn line_start(&self, from: u64) -> Result<u64, LogError> {
        let mut at = from
            .saturating_sub(1)
            .max(self.header_size.saturating_sub(1));
        loop {
            let chunk = self.read(at, 4096)?;
            if chunk.is_empty() {
                return Ok(from);
            }
            if let Some(found) = chunk.iter().position(|byte| *byte == b'\n') {
                return Ok(at + found as u64 + 1);
            }
            at += chunk.len() as u64;
        }
    }

    /// Passes on complete lines; returns where the first incomplete one begins, or the one to cut at.
    fn each_line(
        &self,
        from: u64,
        cut_from: u64,
        on_line: &mut dyn FnMut(u64, &str) -> Result<(), LineError>,
    ) -> Result<u64, LogError> {
        let mut at = from;
        loop {
            let chunk = self.read(at, CHUNK_BYTES)?;
            let mut used = 0;
            while let Some(length) = chunk[used..].iter().position(|byte| *byte == b'\n') {
                let offset = at + used as u64;
                let passed = std::str::from_utf8(&chunk[used..used + length])
                    .map_err(|_| LineError::NotUtf8)
                    .and_then(|line| on_line(offset, line));
                match passed {
                    Ok(()) => used += length + 1,
                    Err(_) if offset >= cut_from => return Ok(offset),
                    Err(source) => return Err(self.bad_line(offset, source)),
                }
            }
            if used == 0 {
                return Ok(at);
            }
            at += used as u64;
        }
    }

    /// Completes a last line that lacks only its line feed; cuts off any other.
    fn finish_last_line(
        &self,
        end: u64,
        size: u64,
        is_complete: fn(&str) -> bool,
        on_line: &mut dyn FnMut(u64, &str) -> Result<(), LineError>,
    ) -> Result<u64, LogError> {
        let rest = self.read(end, CHUNK_BYTES)?;
        let whole = std::str::from_utf8(&rest)
            .ok()
            .filter(|line| !line.contains('\n') && is_complete(line));
        if let Some(line) = whole
            && on_line(end, line).is_ok()
        {
            self.write(size, b"\n")?;
            return Ok(size + 1);
        }
        tracing::warn!(
            path = %self.path.display(), offset_bytes = end, cut_bytes = size - end,
            "cut a torn last line"
        );
        self.truncate(end)?;
        Ok(end)
    }

    fn bad_line(&self, offset: u64, source: LineError) -> LogError {
        let mut line = 1;
        let mut at = 0;
        while at < offset {
            let size = usize::try_from(offset - at).unwrap_or(CHUNK_BYTES);
            match self.read(at, size.min(CHUNK_BYTES)) {
                Ok(chunk) if !chunk.is_empty() => {
                    line += chunk.split(|byte| *byte == b'\n').count() as u64 - 1;
                    at += chunk.len() as u64;
                }
                _ => break,
            }
        }
        LogError::Line {
            path: self.path.clone(),
            line,
            source,
        }
    }

    fn size(&self) -> Result<u64, LogError> {
        self.file.size().map_err(LogError::io("size", &self.path))
    }

    fn truncate(&self, size: u64) -> Result<(), LogError> {
        self.file
            .set_size(size)
            .map_err(LogError::io("cut", &self.path))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), LogError> {
        self.file
            .write_at(offset, bytes)
            .map_err(LogError::io("write", &self.path))
    }

    /// Up to `size` bytes from an offset; fewer only at the end of the file.
    fn read(&self, offset: u64, size: usize) -> Result<Vec<u8>, LogError> {
        let mut chunk = vec![0; size];
        let mut filled = 0;
        while filled < size {
            let read = self
                .file
                .read_at(offset + filled as u64, &mut chunk[filled..])
                .map_err(LogError::io("read", &self.path))?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        chunk.truncate(filled);
        Ok(chunk)
    }
}

/// Passes on the complete lines of a file except the header, beginning with the first line at or after an offset. Nothing
/// is repaired.
///
/// # Errors
/// From the file system, or at a line that is not UTF-8.
pub fn each_line(
    disk: &dyn Disk,
    path: &Path,
    from: u64,
    on_line: &mut dyn FnMut(&str),
) -> Result<(), LogError> {
    let reader = Writer {
        path: path.to_owned(),
        file: disk.open(path).map_err(LogError::io("open", path))?,
        durable: 0,
        header_size: 1,
        buffer: Vec::new(),
    };
    let from = reader.line_start(from.max(1))?;
    reader.each_line(from, u64::MAX, &mut |_, line| {
        on_line(line);
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        metric_log::{HEADER, RealDisk, RowRef},
        telemetry::with_causes,
    };

    fn scan(recorded: Option<u64>) -> Scan {
        Scan {
            header: HEADER,
            recorded,
            from: 0,
            is_complete: RowRef::is_complete,
        }
    }

    /// Opens a file of that content; returns the ids in it and its content afterwards.
    fn open(content: &str, recorded: Option<u64>) -> Result<(Vec<String>, String), LogError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metric_log.csv");
        fs::write(&path, content).unwrap();
        let mut ids = Vec::new();
        Writer::open(&RealDisk, &path, scan(recorded), &mut |_, line| {
            ids.push(RowRef::parse(line)?.id.into_owned());
            Ok(())
        })?;
        Ok((ids, fs::read_to_string(&path).unwrap()))
    }

    const ROWS: &str = "id,y_true,y_pred,absolute_error\na,1.0,2.0,1.0\nb,3.0,1.0,2.0\n";

    #[test]
    fn a_new_file_gets_its_header_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metric_log.csv");
        for line in ["a,1.0,2.0,1.0\n", "b,3.0,1.0,2.0\n"] {
            let mut writer =
                Writer::open(&RealDisk, &path, scan(None), &mut |_, _| Ok(())).unwrap();
            writer.buffer().extend_from_slice(line.as_bytes());
            writer.flush().unwrap();
            assert_eq!(writer.durable(), fs::metadata(&path).unwrap().len());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), ROWS);
    }

    #[test]
    fn a_tail_cut_at_any_byte_is_repaired_to_whole_rows() {
        for cut in 0..=ROWS.len() {
            let (ids, content) = open(&ROWS[..cut], None).unwrap();
            assert!(ROWS.starts_with(&content), "cut at {cut}: {content:?}");
            assert!(content.ends_with('\n'));
            assert_eq!(content.lines().count(), 1 + ids.len());
            let complete = ROWS[..cut].matches('\n').count().max(1);
            assert!(content.lines().count() >= complete, "cut at {cut}");
        }
    }

    #[test]
    fn a_last_row_without_line_feed_is_kept_when_it_adds_up_and_cut_when_not() {
        let (ids, content) = open(ROWS.trim_end(), None).unwrap();
        assert_eq!((ids.len(), content.as_str()), (2, ROWS));
        let (ids, _) = open(&format!("{ROWS}c,10.0,5.5,4"), None).unwrap();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn zeros_left_by_a_lost_write_are_cut_beyond_what_is_recorded() {
        let torn = format!("{ROWS}c,1.0,\0\0\0\0\nd,1.0,1.0,0.0\n");
        let (ids, content) = open(&torn, Some(ROWS.len() as u64)).unwrap();
        assert_eq!((ids.len(), content.as_str()), (2, ROWS));
    }

    #[test]
    fn a_bad_line_in_the_recorded_part_is_an_error_that_names_it() {
        let bad = ROWS.replace("a,1.0", "a,one");
        let error = with_causes(&open(&bad, Some(bad.len() as u64)).unwrap_err());
        assert!(
            error.contains("line 2") && error.contains("`y_true` is `one`"),
            "{error}"
        );
        assert!(error.contains("correct or remove"), "{error}");
    }

    #[test]
    fn a_foreign_header_is_refused_with_its_remedy() {
        let error = open("message_id,y_true,y_pred,absolute_error\n", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("begins with `message_id,"), "{error}");
        assert!(error.contains("rename its columns"), "{error}");
    }

    #[test]
    fn lines_with_carriage_returns_are_continued() {
        let (ids, _) = open(&ROWS.replace('\n', "\r\n"), None).unwrap();
        assert_eq!(ids, ["a", "b"]);
    }
}
