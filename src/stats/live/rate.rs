//! Rows per second.

use std::collections::VecDeque;

use crate::stats::moments::as_f64;

/// Over how long the rate is taken.
const WINDOW_MS: u64 = 10_000;

/// Rows of so many milliseconds are counted together.
const STEP_MS: u64 = 250;

/// Counts of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// By number of the step since the epoch; at most [`WINDOW_MS`] / [`STEP_MS`] + 1.
    steps: VecDeque<(u64, u64)>,
    first_ms: Option<u64>,
}

impl Rate {
    pub(super) fn push(&mut self, at_ms: u64) {
        self.first_ms = Some(self.first_ms.map_or(at_ms, |first| first.min(at_ms)));
        let step = at_ms / STEP_MS;
        match self.steps.back_mut() {
            // A row that is out of order counts in the newest step.
            Some((newest, rows)) if *newest >= step => *rows += 1,
            _ => self.steps.push_back((step, 1)),
        }
        while self.steps.len() as u64 > WINDOW_MS / STEP_MS + 1 {
            self.steps.pop_front();
        }
    }

    /// Over the window, or since the first row if that is less, but at least over a second.
    pub(super) fn rows_per_second(&self, now_ms: u64) -> f64 {
        let Some(first_ms) = self.first_ms else {
            return 0.0;
        };
        let start = (now_ms.saturating_sub(WINDOW_MS) / STEP_MS + 1) * STEP_MS;
        let within = self
            .steps
            .iter()
            .filter(|(step, _)| step * STEP_MS >= start);
        let rows: u64 = within.map(|(_, rows)| rows).sum();
        let elapsed_ms = now_ms.saturating_sub(start.max(first_ms)).max(1_000);
        as_f64(rows) * 1_000.0 / as_f64(elapsed_ms)
    }
}
