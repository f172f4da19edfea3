//! Where the service reports how far it is: what was last reported, and the times of the rows.

use std::sync::Arc;

use tokio::sync::watch;

use super::{progress::Progress, timing::Timing};

/// The sending end of a service's [`Progress`].
#[derive(Debug)]
pub(super) struct ProgressFeed {
    sender: watch::Sender<Progress>,
    last: Progress,
    timing: Timing,
}

impl ProgressFeed {
    pub(super) fn new(sender: watch::Sender<Progress>) -> Self {
        Self {
            sender,
            last: Progress::default(),
            timing: Timing::new(),
        }
    }

    /// What was last reported; the default before the first report.
    pub(super) fn last(&self) -> &Progress {
        &self.last
    }

    /// Reports a commit: where the ledger stands now, where there is one, and when its new rows were minted.
    pub(super) fn report(
        &mut self,
        ledger: Option<Progress>,
        minted_us: &[u64],
        now_us: u64,
        failing: Option<Arc<str>>,
    ) {
        if let Some(progress) = ledger {
            self.last = progress;
        }
        self.timing.note(minted_us, now_us);
        self.timing.fill(&mut self.last);
        self.report_failing(failing);
    }

    /// Reports why nothing can be recorded, or that it can.
    pub(super) fn report_failing(&mut self, failing: Option<Arc<str>>) {
        self.last.failing = failing;
        self.sender.send_replace(self.last.clone());
    }
}
