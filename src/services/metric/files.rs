//! The files beside the log: where they are and what their lines look like.

use std::path::{Path, PathBuf};

use super::{pending::Kind, progress::Reason};
use crate::{
    message::RecordId,
    metric_log::{
        Disk, LineError, LogError, RowRef, Scan, Series, Writer, push_field, push_number, unquote,
    },
    task::Task,
};

/// First line of `unmatched.csv`.
pub(super) const UNMATCHED_HEADER: &str = "id,kind,value,received_ms,reason";

/// Names of everything that one metric process writes.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) log: Series,
    pub(super) unmatched: PathBuf,
    pub(super) corrections: PathBuf,
    /// Folder of the store and the lock.
    pub(super) state_dir: PathBuf,
    pub(super) store: PathBuf,
    pub(super) lock: PathBuf,
}

impl Layout {
    /// The only process, or one of several partitions.
    pub(super) fn new(logs: &Path, partition: u32, partitions: u32) -> Self {
        let suffix = if partitions == 1 {
            String::new()
        } else {
            format!("-{partition}of{partitions}")
        };
        Self::with_suffix(logs, &suffix)
    }

    /// The same from the suffix that a partition's files have in their names.
    pub(super) fn with_suffix(logs: &Path, suffix: &str) -> Self {
        let state_dir = logs.join(".residual");
        Self {
            log: Series::new(logs, &format!("metric_log{suffix}")),
            unmatched: logs.join(format!("unmatched{suffix}.csv")),
            corrections: logs.join(format!("corrections{suffix}.csv")),
            store: state_dir.join(format!("ledger{suffix}.redb")),
            lock: state_dir.join(format!("ledger{suffix}.lock")),
            state_dir,
        }
    }
}

/// A CSV file that is only created when it gets its first line, so that a clean run leaves none.
#[derive(Debug)]
pub(super) struct SideFile {
    path: PathBuf,
    header: &'static str,
    writer: Option<Writer>,
    buffer: Vec<u8>,
}

impl SideFile {
    /// Opens it if it exists, as [`Writer::open`] does.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        scan: Scan,
        on_line: &mut dyn FnMut(u64, &str) -> Result<(), LineError>,
    ) -> Result<Self, LogError> {
        let exists = disk.exists(path).map_err(LogError::io("look for", path))?;
        let writer = exists
            .then(|| Writer::open(disk, path, scan, on_line))
            .transpose()?;
        Ok(Self {
            path: path.to_owned(),
            header: scan.header,
            writer,
            buffer: Vec::new(),
        })
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    pub(super) fn durable(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::durable)
    }

    pub(super) fn flush(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create(disk)?,
        };
        let writer = self.writer.insert(writer);
        writer.buffer().append(&mut self.buffer);
        writer.flush()
    }

    fn create(&self, disk: &dyn Disk) -> Result<Writer, LogError> {
        let scan = Scan {
            header: self.header,
            recorded: None,
            from: 0,
            is_complete: |_| false,
        };
        Writer::open(disk, &self.path, scan, &mut |_, _| Ok(()))
    }
}

/// A line of `unmatched.csv`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnmatchedLine {
    pub(super) id: RecordId,
    pub(super) kind: Kind,
    pub(super) value: f64,
    pub(super) received_ms: u64,
    pub(super) reason: Reason,
}

impl UnmatchedLine {
    pub(super) fn push_line(&self, out: &mut Vec<u8>) {
        push_field(out, &self.id);
        out.push(b',');
        out.extend_from_slice(self.kind.as_str().as_bytes());
        out.push(b',');
        push_number(out, self.value);
        out.extend_from_slice(
            format!(",{},{}\n", self.received_ms, self.reason.as_str()).as_bytes(),
        );
    }

    pub(super) fn parse(line: &str) -> Result<Self, LineError> {
        let unexpected = |field, expected| LineError::Unexpected { field, expected };
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut fields = line.rsplitn(5, ',');
        let mut field = |field| fields.next().ok_or(LineError::Missing { field, fields: 5 });
        let reason = match field("reason")? {
            "expired" => Reason::Expired,
            "evicted" => Reason::Evicted,
            "late" => Reason::Late,
            _ => return Err(unexpected("reason", "one of expired, evicted, late")),
        };
        let received_ms = field("received_ms")?
            .parse()
            .map_err(|_| unexpected("received_ms", "a whole number"))?;
        let value: f64 = field("value")?
            .parse()
            .map_err(|_| unexpected("value", "a number"))?;
        let kind = match field("kind")? {
            "truth" => Kind::Truth,
            "prediction" => Kind::Prediction,
            _ => return Err(unexpected("kind", "one of truth, prediction")),
        };
        Ok(Self {
            id: RecordId::from_text(&unquote(field("id")?)?)?,
            kind,
            value,
            received_ms,
            reason,
        })
    }

    pub(super) fn is_complete(line: &str) -> bool {
        Self::parse(line).is_ok()
    }
}

/// Id, truth and prediction of a row, with the id checked.
pub(super) fn parse_row(line: &str) -> Result<(RecordId, f64, f64), LineError> {
    let row = RowRef::parse(line)?;
    Ok((RecordId::from_text(&row.id)?, row.y_true, row.y_pred))
}

/// Whether a row can only be of the other task: its error is what that task gives for it and this one does not.
pub(super) fn is_of_other_task(line: &str, task: Task) -> bool {
    RowRef::parse(line).is_ok_and(|row| !row.adds_up_as(task) && row.adds_up_as(task.other()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_unmatched_line_reads_back(
            id in "[^\\p{Cc}]{1,30}", is_truth in any::<bool>(), value in proptest::num::f64::NORMAL,
            received_ms in any::<u64>(), reason in 0..3usize,
        ) {
            let line = UnmatchedLine {
                id: RecordId::from_text(&id).unwrap(),
                kind: if is_truth { Kind::Truth } else { Kind::Prediction },
                value,
                received_ms,
                reason: [Reason::Expired, Reason::Evicted, Reason::Late][reason],
            };
            let mut text = Vec::new();
            line.push_line(&mut text);
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(UnmatchedLine::parse(text.strip_suffix('\n').unwrap()).unwrap(), line);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            drop(UnmatchedLine::parse(&text));
        }
    }
}
