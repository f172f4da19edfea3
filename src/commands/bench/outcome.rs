//! The result of a bench, for people and as JSON.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{
    proof::{LogContents, RowsDigest},
    resource_usage::ResourceUsage,
};

/// What was measured against.
#[derive(Debug, Serialize)]
pub(super) struct Broker {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) is_durable: bool,
}

/// How long the rows took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Times {
    /// From the first row sent to the last one durable, in seconds.
    pub(super) span_s: f64,
    /// From features to the durable row, in milliseconds: p50, p99 and p99.9, within a sixteenth.
    pub(super) latency_ms: [f64; 3],
}

impl Times {
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub(super) fn new(span_us: Option<[u64; 2]>, latency_us: Option<[u64; 3]>) -> Result<Self> {
        let [began, ended] = span_us.context("no row was recorded")?;
        let latency_us = latency_us.context("no row was timed")?;
        Ok(Self {
            span_s: ended.saturating_sub(began).max(1) as f64 / 1e6,
            latency_ms: latency_us.map(|us| us as f64 / 1e3),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub(super) fn per_second(&self, rows: u64) -> f64 {
        rows as f64 / self.span_s
    }
}

/// The whole result; the names are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) bus: String,
    pub(super) broker: Broker,
    pub(super) rows_per_second: f64,
    pub(super) times: Times,
    pub(super) stages: Vec<(&'static str, ResourceUsage)>,
    pub(super) expected: RowsDigest,
    pub(super) found: LogContents,
}

impl Outcome {
    fn is_proven(&self) -> bool {
        self.found.sum == self.expected && self.found.unique_ids == self.expected.rows
    }

    /// # Errors
    /// When the log is not what the offline computation gives.
    pub(super) fn verdict(&self) -> Result<()> {
        if !self.is_proven() {
            bail!(
                "the log is not what the offline computation gives: expected {:?}, found {:?}",
                self.expected,
                self.found
            );
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broker {
            name,
            version,
            is_durable,
        } = &self.broker;
        let durability = if *is_durable {
            "every message durable before it is confirmed"
        } else {
            "IN MEMORY: only the log is durable"
        };
        writeln!(f, "bus       {} ({name} {version}), {durability}", self.bus)?;
        let (rows, span_s) = (self.found.sum.rows, self.times.span_s);
        writeln!(
            f,
            "rows      {rows} in {span_s:.3} s: {:.0} rows/s",
            self.rows_per_second
        )?;
        let [p50, p99, p999] = self.times.latency_ms;
        writeln!(
            f,
            "latency   p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, from features to the durable row"
        )?;
        for (stage, usage) in &self.stages {
            writeln!(f, "cost      {stage:<10} {}", Cost(*usage))?;
        }
        let agreement = if self.is_proven() {
            "as computed offline"
        } else {
            "NOT as computed offline"
        };
        write!(
            f,
            "proof     {rows} rows, {} ids, sum of SHA-256 {:032x}: {agreement}",
            self.found.unique_ids, self.found.sum.sha256_sum
        )
    }
}

/// The cost of a stage for people.
struct Cost(ResourceUsage);

impl fmt::Display for Cost {
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.cpu_s, self.0.peak_bytes) {
            (Some(cpu_s), Some(bytes)) => {
                let mib = bytes as f64 / f64::from(1 << 20);
                write!(f, "{cpu_s:.2} s of processor time, {mib:.1} MiB at most")
            }
            _ => f.write_str("unknown on this system"),
        }
    }
}
