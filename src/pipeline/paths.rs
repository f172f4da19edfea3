//! Where the log and the picture are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{config::Config, metric_log::LogError};

/// Where the picture goes: where the settings say, else into the logs folder.
#[must_use]
pub fn picture(config: &Config) -> PathBuf {
    let named = config.plot.output.clone();
    named.unwrap_or_else(|| config.logs.join("error_distribution.png"))
}

/// The live file of the log.
#[must_use]
pub fn log_file(logs: &Path) -> PathBuf {
    logs.join("metric_log.csv")
}

/// Makes the logs folder and proves that it can be written to.
///
/// # Errors
/// With the mend, when it cannot.
pub fn prepare_folder(logs: &Path) -> Result<()> {
    let probe = logs.join(".residual-probe");
    fs::create_dir_all(logs)
        .and_then(|()| fs::write(&probe, b""))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|source| LogError::io("write to the folder", logs)(source).into())
}
