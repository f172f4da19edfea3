//! Logs to standard error, counters for Prometheus, and a progress bar on a terminal.
//!
//! Results go to standard output and not through this module. Deliberately absent: ids as metric labels, log files, and
//! sending anything anywhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Settings of the logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `pretty` for people, `json` for machines: one object a line.
    pub format: Format,
    /// What is logged: `info`, `debug`, or a filter such as `info,residual=debug,lapin=warn`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Pretty,
            level: "info".to_owned(),
        }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not a valid filter.
    #[error(
        "`telemetry.level` is not understood; write `info`, `debug` or for instance `info,residual=debug,lapin=warn`"
    )]
    Level(#[from] ParseError),
    /// The metrics recorder refused its buckets.
    #[error("metrics recorder could not be built")]
    Metrics(#[from] BuildError),
    /// Logs or metrics were set up before in this process.
    #[error("telemetry was set up twice in one process")]
    Twice,
}

/// Access to what was set up.
#[derive(Clone)]
pub struct Telemetry {
    metrics: PrometheusHandle,
    /// Advanced by the pipeline, which knows how many rows are recorded. Hidden unless standard error is a terminal.
    pub progress: ProgressBar,
}

impl Telemetry {
    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.run_upkeep();
        self.metrics.render()
    }

    /// Shows the bar, if standard error is a terminal, for a run of `rows` rows.
    pub fn show_progress(&self, rows: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        let template = "{bar:32.yellow/dim} {pos}/{len} rows recorded  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.progress.set_style(style);
        }
        self.progress.set_length(rows);
        self.progress.set_draw_target(ProgressDrawTarget::stderr());
    }
}

/// Buckets for latencies in seconds: from a hand-over in memory to an outage.
const LATENCY_BUCKETS: [f64; 14] = [
    1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The brokers' clients log a lost link four times and do not say what happens next; the bus logs it once and does.
const CLIENTS_OFF: &str = "lapin=off,async_nats=off";

/// Sets up logs and metrics for this process. Call it once.
///
/// # Errors
/// When the level is not understood, or it was called before.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(format!("{CLIENTS_OFF},{}", config.level))?;
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(BesideBar(progress.clone()));
    let set = match config.format {
        Format::Pretty => lines
            .with_target(false)
            .finish()
            .with(filter_fn(holds_no_secret))
            .try_init(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .finish()
            .with(filter_fn(holds_no_secret))
            .try_init(),
    };
    set.map_err(|_| TelemetryError::Twice)?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)?
        .install_recorder()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { metrics, progress })
}

/// On the level `trace`, lapin logs every frame that it sends, and one of the first contains the password.
fn holds_no_secret(line: &Metadata<'_>) -> bool {
    *line.level() < Level::TRACE || !line.target().starts_with("lapin")
}

/// An error with its causes in one line, for a log line, an answer or a dead letter.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Writes whole log lines above the progress bar, so that they do not tear it.
#[derive(Clone)]
struct BesideBar(ProgressBar);

impl<'a> MakeWriter<'a> for BesideBar {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            bar: &self.0,
            bytes: Vec::new(),
        }
    }
}

/// One log line; it is written when it is complete.
struct Line<'a> {
    bar: &'a ProgressBar,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        // If standard error is closed, the service must go on.
        self.bar
            .suspend(|| drop(io::stderr().lock().write_all(&self.bytes)));
    }
}
