//! What can be wrong with a log: each error names the file, the line where there is one, and the remedy.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{message::IdError, task::LabelsError};

/// A log that cannot be read or written as it is.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {action} `{}`{}", path.display(), remedy(source))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The first line is not ours.
    #[error(
        "`{}` begins with `{found}`, expected `{expected}`: rename its columns or move the file away",
        path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// Its first line, cut to 80 characters.
        found: String,
        /// The header that it should have.
        expected: &'static str,
    },
    /// The file that says what the log's numbers are cannot be understood.
    #[error(
        "`{}` does not say what the log's numbers are; write it like \
         {{\"task\":\"classification\",\"labels\":[\"no\",\"yes\"]}}, or move it away",
        path.display()
    )]
    Task {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TaskFileError,
    },
    /// A line in the middle that cannot be read.
    #[error("`{}` line {line} cannot be read; correct or remove that line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1, which is the header.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
}

/// What is wrong with `task.json`.
#[derive(Debug, thiserror::Error)]
pub enum TaskFileError {
    /// It is not the JSON that we write.
    #[error("not the expected JSON")]
    Json(#[from] serde_json::Error),
    /// Its labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

/// What is wrong with one line of a CSV file.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// There are too few fields.
    #[error("`{field}` is missing, a line has {fields} fields")]
    Missing {
        /// The first field that is not there.
        field: &'static str,
        /// How many there must be.
        fields: usize,
    },
    /// A field is not a number that we could have written.
    #[error("`{field}` is `{text}`, expected a finite number")]
    NotFinite {
        /// The field.
        field: &'static str,
        /// What stands there, cut to 40 characters.
        text: String,
    },
    /// A field is something else than what may stand there.
    #[error("`{field}` is not {expected}")]
    Unexpected {
        /// The field.
        field: &'static str,
        /// What may stand there.
        expected: &'static str,
    },
    /// The id is empty.
    #[error("`id` is empty")]
    EmptyId,
    /// The id begins with quotes that do not close.
    #[error("the quotes of `id` do not close")]
    OpenQuotes,
    /// The id is not one of ours.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The bytes are no text.
    #[error("line is not UTF-8")]
    NotUtf8,
    /// The line has no end.
    #[error("line is longer than a mebibyte")]
    TooLong,
}

impl LogError {
    /// Makes an error of the file system into one that says what was being done to which file.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether waiting can help: a full disk or a passing fault of the device, but not a foreign or damaged file.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { source, .. } => !is_access(source),
            Self::Header { .. } | Self::Line { .. } | Self::Task { .. } => false,
        }
    }
}

fn is_access(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
    )
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": make the folder writable or choose another with --logs DIR"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            ": a file stands where a folder should, or the other way round; move it away"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": the disk is full, free some space"
        }
        _ => "",
    }
}
