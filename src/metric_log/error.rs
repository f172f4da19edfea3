//! What can be wrong with a log, each with its place and its mend.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A log that cannot be read or written as it is.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {action} `{}`{}", path.display(), mend(source))]
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
    /// What says how the log is judged cannot be understood.
    #[error(
        "`{}` does not say what the log's numbers are ({reason}): mend it like \
         {{\"task\":\"classification\",\"labels\":[\"no\",\"yes\"]}}, or move it away",
        path.display()
    )]
    Task {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A line in the middle that is no row.
    #[error("`{}` line {line}: {reason}; correct or remove that line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1, which is the header.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl LogError {
    /// Says what was being done to which file.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether waiting can help: a full disk, a passing fault of the device; not a foreign or damaged file.
    #[must_use]
    pub fn is_passing(&self) -> bool {
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

fn mend(error: &io::Error) -> &'static str {
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
