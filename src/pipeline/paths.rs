//! Where the log and the picture are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{config::Config, metric_log::LogError};

/// The file of the picture: as the settings say, else in the logs folder.
#[must_use]
pub fn picture(config: &Config) -> PathBuf {
    let named = config.plot.output.clone();
    named.unwrap_or_else(|| config.logs.join("error_distribution.png"))
}

/// The file that the log is appended to.
#[must_use]
pub fn log_file(logs: &Path) -> PathBuf {
    logs.join("metric_log.csv")
}

/// Creates the logs folder and checks that it can be written to.
///
/// # Errors
/// When it cannot be created or written to.
pub fn prepare_folder(logs: &Path) -> Result<()> {
    let probe = logs.join(".residual-probe");
    fs::create_dir_all(logs)
        .and_then(|()| fs::write(&probe, b""))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|source| LogError::io("write to the folder", logs)(source).into())
}
