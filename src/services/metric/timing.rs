//! How long the rows of a run take from their creation to the log, and when the run began and ended.

use super::{delay::DelaySketch, progress::Progress};

/// The times of a run, in bounded memory.
#[derive(Debug)]
pub(super) struct Timing {
    latencies_us: DelaySketch,
    span_us: Option<[u64; 2]>,
}

impl Timing {
    pub(super) fn new() -> Self {
        Self {
            latencies_us: DelaySketch::new(),
            span_us: None,
        }
    }

    /// Rows whose ids were created at these times are durable now.
    pub(super) fn note(&mut self, minted_us: &[u64], now_us: u64) {
        for minted_us in minted_us {
            self.latencies_us.record(now_us.saturating_sub(*minted_us));
        }
        if let Some(first) = minted_us.iter().min() {
            let began = self.span_us.map_or(*first, |[began, _]| began.min(*first));
            self.span_us = Some([began, now_us]);
        }
    }

    pub(super) fn fill(&self, progress: &mut Progress) {
        let at = |share| self.latencies_us.quantile(share);
        progress.row_latency_us = at(0.5)
            .zip(at(0.99))
            .zip(at(0.999))
            .map(|((p50, p99), p999)| [p50, p99, p999]);
        progress.span_us = self.span_us;
    }
}
