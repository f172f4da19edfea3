//! Wall time as a value that is passed in: no other module reads the system's clock.
//!
//! Promise: under tokio's paused time the clock follows virtual time, so that a simulation of an hour takes
//! milliseconds and the same seed gives the same bytes. Deliberately absent: time zones, formatting, leap seconds.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// A wall clock anchored once to the system's and carried on by tokio's monotonic one.
///
/// It never runs backwards. The price: a correction of the system's clock is seen only by the next process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor_us: u64,
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
        let anchor_us = since_epoch.map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        });
        Self {
            anchor_us,
            started: Instant::now(),
        }
    }

    /// A clock that reads `anchor_ms` now.
    #[must_use]
    pub fn anchored(anchor_ms: UnixMs) -> Self {
        Self {
            anchor_us: anchor_ms.saturating_mul(1_000),
            started: Instant::now(),
        }
    }

    /// The time now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> UnixMs {
        self.now_us() / 1_000
    }

    /// The time now, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.anchor_us.saturating_add(elapsed)
    }
}

/// A duration in whole milliseconds, at most `u64::MAX`.
#[must_use]
pub fn saturating_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time as people write it: `250ms`, `10s`, `1h 30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

impl Period {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

/// A text that is not a length of time.
///
/// The parser's own error stands in the text and is no `source`: command line and settings show an error without its
/// causes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{text}` is not a duration ({fault}); write for instance `250ms`, `10s` or `1h 30m`")]
pub struct PeriodError {
    text: String,
    fault: humantime::DurationError,
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|fault| PeriodError {
                text: text.to_owned(),
                fault,
            })
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
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

    #[test]
    fn a_period_is_read_as_people_write_it() {
        assert_eq!("250ms".parse(), Ok(Period::from_millis(250)));
        assert_eq!("0s".parse(), Ok(Period::from_millis(0)));
        assert_eq!(Period::from_millis(90_000).to_string(), "1m 30s");
        assert!(
            "10".parse::<Period>()
                .unwrap_err()
                .to_string()
                .contains("write for instance")
        );
    }
}
