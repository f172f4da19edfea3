//! What stops the metric service.

use std::path::PathBuf;

use super::config::SettingError;
use crate::{bus::BusError, metric_log::LogError, task::Task};

/// An error of the metric service.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// A CSV file cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store of pending halves failed.
    #[error("cannot {action} the store `{}`{}", path.display(), store_remedy(source))]
    Store {
        /// What was being done.
        action: &'static str,
        /// The store's file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<redb::Error>,
    },
    /// The store was written by another version of residual, or is damaged.
    #[error(
        "the store `{}` cannot be understood: use the version of residual that wrote it, or move the file away to begin \
         anew (halves that wait in it are then lost)",
        path.display()
    )]
    StoreContent {
        /// The store's file.
        path: PathBuf,
        /// What is not understood.
        #[source]
        source: StoreContentError,
    },
    /// Another process writes to the same folder.
    #[error(
        "another metric process writes to `{}`: stop it, or give this one its own folder with --logs DIR",
        path.display()
    )]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// Halves still wait that were stored under another number of partitions.
    #[error(
        "{pending} halves still wait under `partitions` = {old} in `{}`: run with {old} until none waits (stop the \
         sources; `age_max_ms` is the longest it takes), then change it to {new}",
        path.display()
    )]
    Partitions {
        /// The store that holds them.
        path: PathBuf,
        /// How many.
        pending: u64,
        /// The number of partitions when they were stored.
        old: u32,
        /// The wanted number.
        new: u32,
    },
    /// The log was begun for another task or other labels.
    #[error(
        "`{}` says that the log is a {said}, this process expects a {wanted}: one log holds one kind of answer; move the \
         log away, give another folder with --logs DIR, or correct `task` and `labels`",
        path.display()
    )]
    OtherLabels {
        /// What says so.
        path: PathBuf,
        /// What it says.
        said: String,
        /// What this process would write.
        wanted: String,
    },
    /// The log has rows of the other task.
    #[error(
        "`{}` has the row `{line}`, which is of a {}, this process expects a {wanted}: one log holds one kind of answer; \
         move the log away, give another folder with --logs DIR, or correct `task`",
        path.display(),
        wanted.other()
    )]
    OtherTask {
        /// The log.
        path: PathBuf,
        /// The first such row.
        line: String,
        /// The task of this process.
        wanted: Task,
    },
    /// A setting is out of bounds.
    #[error("bad setting of `metric`")]
    Config(#[from] SettingError),
    /// The bus failed for good.
    #[error("bus of the metric service failed")]
    Bus(#[from] BusError),
    /// The thread that writes panicked.
    #[error("the ledger's task died")]
    Died(#[from] tokio::task::JoinError),
}

/// What is wrong with the content of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreContentError {
    /// The checkpoint was written in another layout.
    #[error("its checkpoint has version {found}, this program knows version {known}")]
    Version {
        /// What stands there.
        found: u8,
        /// What can be read.
        known: u8,
    },
    /// The bytes make no checkpoint.
    #[error("its checkpoint is damaged")]
    Checkpoint(#[from] postcard::Error),
    /// The bytes under a key make no half.
    #[error("its half with the key {0} is damaged")]
    Half(u64),
}

impl MetricError {
    /// Whether waiting can help, as it does for a full disk.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Store { source, .. } => matches!(
                **source,
                redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed
            ),
            _ => false,
        }
    }
}

fn store_remedy(error: &redb::Error) -> &'static str {
    match error {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            ": the disk is full, free some space"
        }
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => {
            ": move the file away to begin anew (halves that wait in it are then lost)"
        }
        _ => "",
    }
}
