//! Wall time as a value that is handed in, never read from inside.
//!
//! Promise: under tokio's paused time the clock follows virtual time, so that a simulation of an hour takes
//! milliseconds and the same seed gives the same bytes. Deliberately absent: time zones, formatting, leap seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// A wall clock anchored once to the system's and carried on by tokio's monotonic one.
///
/// It never runs backwards. The price: a correction of the system's clock is seen only by the next process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor_ms: UnixMs,
    started: Instant,
}

impl Clock {
    /// The system's time now. For the composition root only; everything else is given a clock.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the edge where time enters"
        )]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::anchored(since_epoch.map_or(0, saturating_ms))
    }

    /// A clock that reads `anchor_ms` now.
    #[must_use]
    pub fn anchored(anchor_ms: UnixMs) -> Self {
        Self {
            anchor_ms,
            started: Instant::now(),
        }
    }

    /// The time now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> UnixMs {
        self.anchor_ms
            .saturating_add(saturating_ms(self.started.elapsed()))
    }
}

/// A duration in whole milliseconds, at most `u64::MAX`.
#[must_use]
pub fn saturating_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_virtual_time() {
        let clock = Clock::anchored(1_000);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now_ms(), 3_601_000);
    }
}
