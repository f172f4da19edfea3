//! Reads a CSV file line by line with its offsets, whatever the file contains.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use super::report::Report;
use crate::{metric_log::LogError, services::metric::MetricError};

/// Reading ends at a longer line.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Where a line is in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinePosition {
    pub(super) offset: u64,
    pub(super) line: u64,
}

/// Passes on every complete line after the header; what is wrong with the header and the end goes to the report.
pub(super) fn each_line(
    path: &Path,
    header: &str,
    report: &mut Report,
    on_line: &mut dyn FnMut(&mut Report, LinePosition, &str),
) -> Result<(), MetricError> {
    let file = File::open(path).map_err(LogError::io("open", path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut at = LinePosition { offset: 0, line: 1 };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)
            .map_err(LogError::io("read", path))?;
        if read == 0 {
            return Ok(());
        }
        let Some(line) = bytes.strip_suffix(b"\n") else {
            report.notes.push(format!(
                "`{}` line {} is not finished: its writer was interrupted, its next start repairs it",
                path.display(),
                at.line
            ));
            return Ok(());
        };
        match std::str::from_utf8(line) {
            Ok(text) if at.line > 1 => on_line(report, at, text),
            Ok(text) if text.trim_end_matches('\r') == header => {}
            Ok(_) => {
                report
                    .fault(|| format!("`{}` line 1 is not the header `{header}`", path.display()));
            }
            Err(_) => {
                report.fault(|| format!("`{}` line {} is not UTF-8", path.display(), at.line));
            }
        }
        at.offset += read as u64;
        at.line += 1;
    }
}
