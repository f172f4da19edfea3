//! The composition root: builds bus, model and log, starts the chosen services, supervises and drains them.
//!
//! Services are started against the flow of data, so that every reader is there before its writer, and stopped along
//! it: the source first, then each service once nothing is left for it. So Ctrl-C loses nothing, even on a bus in
//! memory. This is the only module that knows every service.

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, telemetry::Telemetry};

mod drain;
mod inputs;
mod page;
mod paths;
mod reload;
mod report;
mod role;
mod service_tasks;
mod start;
mod state;
mod supervise;
mod task_spec;
mod topology;

pub use inputs::{open_dataset, open_model};
pub use paths::{log_file, picture, prepare_folder};
pub use report::Report;
pub use role::Role;
use state::Pipeline;
pub use task_spec::{task_of_model, task_of_settings};
pub use topology::topology;

/// Marks an error of the configuration or the environment that was found before anything ran: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("cannot start")]
pub struct NotStarted;

/// Runs the given services until their work is done or `stop` is cancelled, then drains them. Returns `None` if it was
/// stopped before it could start, for instance while it waited for a broker.
///
/// # Errors
/// [`NotStarted`] when settings or environment do not allow a start; otherwise the first failure of a service,
/// after the others were drained.
pub async fn run(
    config: &Config,
    roles: &[Role],
    telemetry: &Telemetry,
    stop: CancellationToken,
) -> Result<Option<Report>> {
    let started = stop
        .run_until_cancelled(Pipeline::start(config, roles, telemetry))
        .await;
    let Some(started) = started else {
        return Ok(None);
    };
    let mut pipeline = started.context(NotStarted)?;
    let ended = pipeline.supervise(&stop).await;
    let drained = pipeline.drain().await;
    ended.and(drained).map(|()| Some(pipeline.report()))
}
