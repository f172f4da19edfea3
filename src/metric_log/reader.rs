//! Reads what is new in a log, across its parts and partitions.
//!
//! Promise: every complete line is passed on once, in file order, and never half a line, however the writer is
//! interrupted. A log that was cut or replaced is read from its beginning again, and [`Batch::restarted`] says so. The cost
//! depends on the new bytes only. Two threads parse a long log; its rows are still passed on in order.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::Utf8Error,
    sync::LazyLock,
    thread,
};

use super::{HEADER, LineError, LogError, RealDisk, RowRef, Series, series_in};

/// How much is read at once; a longer line is an error.
const CHUNK_BYTES: usize = 1 << 20;

/// A second thread pays off from so many bytes on.
const SHARED_BYTES: usize = CHUNK_BYTES / 4;

/// Kept, because asking the system takes longer than polling a log that has not changed.
static HAS_TWO_CORES: LazyLock<bool> =
    LazyLock::new(|| thread::available_parallelism().is_ok_and(|cores| cores.get() > 1));

/// What a call of [`Reader::read_new`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows passed on.
    pub rows: u64,
    /// The log was cut or replaced: these rows are its first, so the earlier ones must be forgotten.
    pub restarted: bool,
}

/// Reads on in a log from where it stopped.
#[derive(Debug)]
pub struct Reader {
    live: PathBuf,
    cursors: BTreeMap<Series, Cursor>,
}

/// The position in one series.
#[derive(Debug, Default)]
struct Cursor {
    open: Option<OpenFile>,
    /// Older parts up to this number are read to their end.
    parts_done: u32,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    /// 0 until the header is read.
    offset: u64,
    lines: u64,
}

impl Reader {
    /// A reader of `live` (such as `logs/metric_log.csv`) from its first row. The file need not exist yet.
    #[must_use]
    pub fn open(live: &Path) -> Self {
        Self {
            live: live.to_owned(),
            cursors: BTreeMap::new(),
        }
    }

    /// Passes on every complete row that was written since the last call.
    ///
    /// # Errors
    /// A foreign header, a line that is no row, or the file system; the position stays before the bad line.
    pub fn read_new(&mut self, on_row: &mut dyn FnMut(&RowRef<'_>)) -> Result<Batch, LogError> {
        let series = series_in(&self.live, &RealDisk)
            .map_err(LogError::io("list the folder of", &self.live))?;
        for one in series {
            self.cursors.entry(one).or_default();
        }
        let mut restarted = false;
        for (series, cursor) in &mut self.cursors {
            restarted |= cursor.lost_its_file(series)?;
        }
        if restarted {
            self.cursors.values_mut().for_each(Cursor::rewind);
        }
        let mut rows = 0;
        for (series, cursor) in &mut self.cursors {
            rows += cursor.read_new(series, on_row)?;
        }
        Ok(Batch { rows, restarted })
    }
}

impl Cursor {
    fn rewind(&mut self) {
        *self = Self::default();
    }

    /// Whether the file was cut, removed or replaced other than by rotation.
    fn lost_its_file(&self, series: &Series) -> Result<bool, LogError> {
        let Some(open) = &self.open else {
            return Ok(false);
        };
        let size = open.size()?;
        if size < open.offset {
            return Ok(true);
        }
        let rotated = series.part(self.parts_done + 1);
        Ok(!open.is_at(&open.path) && !open.is_at(&rotated))
    }

    fn read_new(
        &mut self,
        series: &Series,
        on_row: &mut dyn FnMut(&RowRef<'_>),
    ) -> Result<u64, LogError> {
        let mut rows = 0;
        loop {
            let opened = match self.open.take() {
                Some(open) => Some(open),
                None => self.next_file(series)?,
            };
            let Some(open) = opened else {
                return Ok(rows);
            };
            let open = self.open.insert(open);
            rows += open.read_new(on_row)?;
            // It was renamed since it was opened, so it is complete, and the next file follows.
            let number = self.parts_done + 1;
            if !open.is_at(&series.part(number)) {
                return Ok(rows);
            }
            rows += open.read_new(on_row)?;
            self.open = None;
            self.parts_done = number;
        }
    }

    /// The oldest unread part, or the live file.
    fn next_file(&mut self, series: &Series) -> Result<Option<OpenFile>, LogError> {
        let parts = series
            .parts(&RealDisk)
            .map_err(LogError::io("list", series.folder()))?;
        if let Some(number) = parts.into_iter().find(|number| *number > self.parts_done) {
            // Parts that were moved away before they were read are skipped.
            self.parts_done = number - 1;
            return OpenFile::open(series.part(number));
        }
        OpenFile::open(series.live())
    }
}

impl OpenFile {
    fn open(path: PathBuf) -> Result<Option<Self>, LogError> {
        match File::open(&path) {
            Ok(file) => Ok(Some(Self {
                file,
                path,
                offset: 0,
                lines: 0,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::io("open", &path)(error)),
        }
    }

    fn size(&self) -> Result<u64, LogError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(LogError::io("size", &self.path))
    }

    /// Whether that path is this very file.
    fn is_at(&self, path: &Path) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let mine = self.file.metadata().map(identity);
        let named = std::fs::metadata(path).map(identity);
        matches!((mine, named), (Ok(mine), Ok(named)) if mine == named)
    }

    fn read_new(&mut self, on_row: &mut dyn FnMut(&RowRef<'_>)) -> Result<u64, LogError> {
        let mut rows = 0;
        let mut chunk = Vec::new();
        loop {
            self.file
                .seek(SeekFrom::Start(self.offset))
                .map_err(LogError::io("seek", &self.path))?;
            chunk.clear();
            (&self.file)
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut chunk)
                .map_err(LogError::io("read", &self.path))?;
            let Some(end) = chunk.iter().rposition(|byte| *byte == b'\n') else {
                return self.unfinished(&chunk, rows);
            };
            rows += self.parse_lines(&chunk[..end], on_row)?;
        }
    }

    /// Passes on the rows of complete lines; `lines` ends before the last line feed.
    fn parse_lines(
        &mut self,
        lines: &[u8],
        on_row: &mut dyn FnMut(&RowRef<'_>),
    ) -> Result<u64, LogError> {
        let Some((first, second)) = halves(lines) else {
            return self.parse_in_order(lines, on_row);
        };
        thread::scope(|scope| {
            let ahead = scope.spawn(|| parse_all(second));
            let passed = self.parse_in_order(first, on_row)?;
            let Some(rows) = ahead.join().ok().flatten() else {
                // One of its lines is bad: reading line by line finds it.
                return Ok(passed + self.parse_in_order(second, on_row)?);
            };
            rows.iter().for_each(on_row);
            self.offset += second.len() as u64 + 1;
            self.lines += rows.len() as u64;
            Ok(passed + rows.len() as u64)
        })
    }

    fn parse_in_order(
        &mut self,
        lines: &[u8],
        on_row: &mut dyn FnMut(&RowRef<'_>),
    ) -> Result<u64, LogError> {
        // Checking UTF-8 for all lines at once is cheaper; checking line by line finds the bad one.
        if let Ok(text) = std::str::from_utf8(lines) {
            return self.pass_lines(text.split('\n').map(Ok), on_row);
        }
        let lines = lines.split(|byte| *byte == b'\n');
        self.pass_lines(lines.map(std::str::from_utf8), on_row)
    }

    fn pass_lines<'a>(
        &mut self,
        lines: impl Iterator<Item = Result<&'a str, Utf8Error>>,
        on_row: &mut dyn FnMut(&RowRef<'_>),
    ) -> Result<u64, LogError> {
        let mut rows = 0;
        for line in lines {
            let line = line.map_err(|_| self.bad_line(LineError::NotUtf8))?;
            rows += u64::from(self.pass_line(line, on_row)?);
            self.offset += line.len() as u64 + 1;
            self.lines += 1;
        }
        Ok(rows)
    }

    /// The rest has no line feed yet. A whole chunk without one is not a log.
    fn unfinished(&self, chunk: &[u8], rows: u64) -> Result<u64, LogError> {
        if chunk.len() < CHUNK_BYTES {
            return Ok(rows);
        }
        Err(self.bad_line(LineError::TooLong))
    }

    /// False for the header.
    fn pass_line(&self, line: &str, on_row: &mut dyn FnMut(&RowRef<'_>)) -> Result<bool, LogError> {
        if self.offset == 0 {
            return self.check_header(line).map(|()| false);
        }
        let row = RowRef::parse(line).map_err(|source| self.bad_line(source))?;
        on_row(&row);
        Ok(true)
    }

    fn check_header(&self, line: &str) -> Result<(), LogError> {
        if line.strip_suffix('\r').unwrap_or(line) == HEADER {
            return Ok(());
        }
        Err(LogError::Header {
            path: self.path.clone(),
            found: line.chars().take(80).collect(),
            expected: HEADER,
        })
    }

    fn bad_line(&self, source: LineError) -> LogError {
        LogError::Line {
            path: self.path.clone(),
            line: self.lines + 1,
            source,
        }
    }
}

/// Lines in two parts of about the same length, where that is worth it.
fn halves(lines: &[u8]) -> Option<(&[u8], &[u8])> {
    if lines.len() < SHARED_BYTES || !*HAS_TWO_CORES {
        return None;
    }
    let middle = lines.len() / 2;
    let cut = middle + lines[middle..].iter().position(|byte| *byte == b'\n')?;
    Some((&lines[..cut], &lines[cut + 1..]))
}

/// The rows of these lines; `None` when one of them is no row.
fn parse_all(lines: &[u8]) -> Option<Vec<RowRef<'_>>> {
    let text = std::str::from_utf8(lines).ok()?;
    text.split('\n')
        .map(|line| RowRef::parse(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs, io::Write};

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
        reader: Reader,
    }

    impl Log {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let reader = Reader::open(&folder.path().join("metric_log.csv"));
            Self { folder, reader }
        }

        fn append(&self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.folder.path().join(from), self.folder.path().join(to)).unwrap();
        }

        fn ids(&mut self) -> (String, bool) {
            let mut ids = String::new();
            let batch = self
                .reader
                .read_new(&mut |row| ids.push_str(&row.id))
                .unwrap();
            (ids, batch.restarted)
        }
    }

    const HEAD: &str = "id,y_true,y_pred,absolute_error\n";

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let mut log = Log::new();
        assert_eq!(log.ids(), (String::new(), false));
        log.append("metric_log.csv", "id,y_true,y_p");
        assert_eq!(log.ids().0, "");
        log.append(
            "metric_log.csv",
            "red,absolute_error\na,1.0,2.0,1.0\nb,1.0,2",
        );
        assert_eq!(log.ids().0, "a");
        log.append("metric_log.csv", ".0,1.0\n");
        assert_eq!(log.ids().0, "b");
        assert_eq!(log.ids().0, "");
    }

    #[test]
    fn rows_are_read_once_across_rotations() {
        let mut log = Log::new();
        log.append("metric_log.csv", &format!("{HEAD}a,1.0,2.0,1.0\n"));
        assert_eq!(log.ids().0, "a");
        log.append("metric_log.csv", "b,1.0,2.0,1.0\n");
        log.rename("metric_log.csv", "metric_log.000001.csv");
        assert_eq!(log.ids(), ("b".to_owned(), false));
        log.append("metric_log.csv", &format!("{HEAD}c,1.0,2.0,1.0\n"));
        assert_eq!(log.ids(), ("c".to_owned(), false));
        log.rename("metric_log.csv", "metric_log.000002.csv");
        log.append("metric_log.000003.csv", &format!("{HEAD}d,1.0,2.0,1.0\n"));
        log.append("metric_log.csv", &format!("{HEAD}e,1.0,2.0,1.0\n"));
        assert_eq!(log.ids(), ("de".to_owned(), false));
        let mut late = Reader::open(&log.folder.path().join("metric_log.csv"));
        let mut ids = String::new();
        late.read_new(&mut |row| ids.push_str(&row.id)).unwrap();
        assert_eq!(ids, "abcde");
    }

    #[test]
    fn partitions_are_read_together() {
        let mut log = Log::new();
        log.append("metric_log-0of2.csv", &format!("{HEAD}a,1.0,2.0,1.0\n"));
        log.append("metric_log-1of2.csv", &format!("{HEAD}b,1.0,2.0,1.0\n"));
        assert_eq!(log.ids().0, "ab");
    }

    #[test]
    fn a_log_that_was_cut_or_replaced_is_begun_anew_and_says_so() {
        let mut log = Log::new();
        log.append(
            "metric_log.csv",
            &format!("{HEAD}a,1.0,2.0,1.0\nb,1.0,2.0,1.0\n"),
        );
        assert_eq!(log.ids(), ("ab".to_owned(), false));
        fs::write(
            log.folder.path().join("metric_log.csv"),
            format!("{HEAD}c,1.0,2.0,1.0\n"),
        )
        .unwrap();
        assert_eq!(log.ids(), ("c".to_owned(), true));
        fs::remove_file(log.folder.path().join("metric_log.csv")).unwrap();
        assert_eq!(log.ids(), (String::new(), true));
    }

    #[test]
    fn a_long_log_is_read_in_order_and_a_bad_line_far_into_it_is_named() {
        let mut log = Log::new();
        let mut text = HEAD.to_owned();
        for row in 0..100_000 {
            writeln!(text, "row {row},{row}.0,0.0,{row}.0").unwrap();
        }
        log.append("metric_log.csv", &text);
        let mut next = 0.0;
        let mut in_order = |row: &RowRef<'_>| {
            assert_eq!(
                (row.y_true, row.id.as_ref()),
                (next, format!("row {next}").as_str())
            );
            next += 1.0;
        };
        assert_eq!(log.reader.read_new(&mut in_order).unwrap().rows, 100_000);
        log.append("metric_log.csv", "bad,1.0\n");
        let mut rows = 0;
        let error = log
            .reader
            .read_new(&mut |_| rows += 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 100002"), "{error}");
        assert_eq!(rows, 0);
    }

    #[test]
    fn a_bad_line_in_any_half_is_named_and_what_is_before_it_is_shown() {
        for bad in [3, 20_000, 39_999] {
            let mut log = Log::new();
            let mut text = HEAD.to_owned();
            for row in 0..40_000 {
                let pred = if row == bad { "x" } else { "0.0" };
                writeln!(text, "row {row},1.0,{pred},1.0").unwrap();
            }
            log.append("metric_log.csv", &text);
            let mut rows = 0;
            let error = log
                .reader
                .read_new(&mut |_| rows += 1)
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("line {}", bad + 2)), "{error}");
            assert_eq!(rows, bad);
        }
    }

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        let mut log = Log::new();
        log.append("metric_log.csv", &format!("{HEAD}a,1.0,2.0,1.0\nb,1.0\n"));
        let error = log.reader.read_new(&mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}
