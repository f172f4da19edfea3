//! Waits for the end of a run.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{role::Role, state::Pipeline};
use crate::telemetry::Telemetry;

/// When no new row came for this long and nothing waits on the bus, missing rows will not come any more.
const STALL: Duration = Duration::from_secs(10);

impl Pipeline {
    pub(super) fn show_progress(&self, telemetry: &Telemetry) {
        telemetry.show_progress(self.config.features.count);
        let (bar, mut progress) = (telemetry.progress.clone(), self.progress.clone());
        tokio::spawn(async move {
            while progress.changed().await.is_ok() {
                bar.set_position(progress.borrow_and_update().rows_of_run);
            }
            bar.finish_and_clear();
        });
    }

    /// Waits for the end: a signal, a service that ended, or a source whose rows are all in the log.
    pub(super) async fn supervise(&mut self, stop: &CancellationToken) -> Result<()> {
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            role = self.service_tasks.any_ended() => role,
        };
        if ended != Role::Features {
            return self.ended_early(ended);
        }
        let handled = self.service_tasks.outcome(ended)?;
        if !self.service_tasks.has(Role::Metric) {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            arrived = self.all_recorded(handled) => arrived,
        }
    }

    /// Waits until so many rows of this run are in the log.
    async fn all_recorded(&mut self, sent: u64) -> Result<()> {
        let mut last = (0, Instant::now());
        loop {
            let recorded = self.progress.borrow_and_update().rows_of_run;
            if recorded >= sent {
                return Ok(());
            }
            if recorded != last.0 {
                last = (recorded, Instant::now());
            }
            if last.1.elapsed() > STALL && self.waiting(&self.topology).await? == 0 {
                bail!(
                    "{recorded} of {sent} rows are in the log and no more will come; \
                     see the dead letters and `unmatched.csv` for the others"
                );
            }
            tokio::select! {
                changed = self.progress.changed() => if changed.is_err() {
                    // The metric service has dropped its sender, so it is ending: its own error is the one to report.
                    let ended = self.service_tasks.any_ended().await;
                    return self.ended_early(ended);
                },
                ended = self.service_tasks.any_ended() => return self.ended_early(ended),
                () = tokio::time::sleep(STALL / 10) => {}
            }
        }
    }
}
