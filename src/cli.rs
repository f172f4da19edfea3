//! The command line: clap types and how flags name settings. No logic.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{clock::Period, config::Overrides};

mod picture;

pub use picture::{CountScale, ErrorView, MarkName, PictureArgs, Size};

/// How wrong is my model right now? A live error picture for a scikit-learn model on a stream.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do; without a command: `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all four services in one process (the default)
    Run(RunArgs),
    /// Stream rows: the features and, under the same id, the true answer
    Features {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
        /// What is streamed.
        #[command(flatten)]
        stream: StreamArgs,
    },
    /// Score features with a model
    Predictor {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Join truths and predictions by id and append them to the log
    Metric {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Draw the error distribution from the log
    Plot {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
        /// When it is drawn.
        #[command(flatten)]
        plot: PlotArgs,
        /// Draw one picture and exit
        #[arg(long)]
        once: bool,
        /// With --once: the log to read [default: `metric_log.csv` in the logs folder]
        #[arg(long, value_name = "LOG.csv", requires = "once")]
        input: Option<PathBuf>,
        /// What it shows and how.
        #[command(flatten)]
        picture: PictureArgs,
    },
    /// Convert a scikit-learn pickle to safetensors, without Python and without executing anything
    Convert {
        /// A .pkl or .joblib file
        input: PathBuf,
        /// The file to write [default: the input with the extension .safetensors]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Describe a model file: class, library version, shapes
    Inspect {
        /// A .pkl, .joblib or .safetensors file
        file: PathBuf,
    },
    /// Score a CSV file and print `y_pred`, one line for each row
    Predict {
        /// A .pkl, .joblib or .safetensors file
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// CSV with a header row; `-` for standard input
        #[arg(long, value_name = "ROWS.csv")]
        input: PathBuf,
    },
    /// Check configuration, model, log and bus, and print one line for each
    Check {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Read the log, the store and `unmatched.csv`, and check every row
    Verify {
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Measure rows per second, latency and cost, and prove that the right rows arrived
    Bench(BenchArgs),
    /// Send the dead letters of a topic back to its consumers
    Redrive {
        /// The topic: `features`, `y_true` or `y_pred`
        topic: String,
        /// Flags of every service.
        #[command(flatten)]
        common: CommonArgs,
    },
}

/// What is measured, and how.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Flags of every service.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where rows come from: diabetes (bundled) or a CSV file [default: diabetes]
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// The column with the true answer [default: target]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Rows to send through the pipeline
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: u64,
    /// Rows per second [default: as many as possible]
    #[arg(long, value_name = "R")]
    pub rate: Option<NonZeroU32>,
    /// Run each stage in a process of its own
    #[arg(long)]
    pub processes: bool,
    /// Keep the embedded bus in memory instead of on disk; only the log is durable then
    #[arg(long)]
    pub memory: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of every service.
#[derive(Args, Debug, Default)]
pub struct CommonArgs {
    /// File with settings [default: residual.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The bus: embedded:, embedded:PATH, amqp://… or nats://… [default: embedded:]
    #[arg(long, value_name = "URL")]
    pub bus: Option<String>,
    /// Folder of the log and the picture [default: logs]
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// What predictions are; auto: as the model says, else as the logs folder says, else regression [default: auto]
    #[arg(long, value_name = "TASK")]
    pub task: Option<TaskName>,
    /// How log lines look on standard error [default: pretty]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: info, debug, or a filter such as info,residual=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Address of the web page, or `off` [default: 127.0.0.1:8080 for `run`, off for a single service]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// What is streamed.
#[derive(Args, Debug, Default)]
pub struct StreamArgs {
    /// Where rows come from: diabetes (bundled), a CSV file, or - for standard input [default: diabetes]
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true)]
    pub source: Option<String>,
    /// The column with the true answer [default: target]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Delay after each row [default: 1s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<Period>,
    /// Rows to send; 0 for no end [default: 0]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Order of the rows [default: random]
    #[arg(long)]
    pub order: Option<RowOrder>,
    /// Seed of the random order
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Which model.
#[derive(Args, Debug, Default)]
pub struct ModelArgs {
    /// Model file: .pkl, .joblib or .safetensors [default: the bundled model]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
}

/// When the picture is drawn.
#[derive(Args, Debug, Default)]
pub struct PlotArgs {
    /// Shortest time between two pictures [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub refresh: Option<Period>,
}

/// Flags of `run`.
#[derive(Args, Debug, Default)]
pub struct RunArgs {
    /// Flags of every service.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What is streamed.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// When the picture is drawn.
    #[command(flatten)]
    pub plot: PlotArgs,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    Pretty,
    /// One JSON object per line
    Json,
}

/// What predictions are.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// As the model or the logs folder says
    Auto,
    /// Numbers
    Regression,
    /// Labels
    Classification,
}

/// In which order rows are taken.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowOrder {
    /// Drawn with replacement
    Random,
    /// As in the file, over and over
    Sequential,
}

impl CommonArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        overrides.set("bus.url", "--bus", self.bus.as_ref());
        overrides.set("logs", "--logs", self.logs.as_ref());
        overrides.set("task", "--task", self.task);
        overrides.set("telemetry.format", "--log-format", self.log_format);
        overrides.set("telemetry.level", "--log-level", self.log_level.as_ref());
        overrides.set("dashboard.listen", "--listen", self.listen.as_ref());
    }
}

impl StreamArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        overrides.set("dataset.source", "--source", self.source.as_ref());
        overrides.set("dataset.target", "--target", self.target.as_ref());
        overrides.set("dataset.order", "--order", self.order);
        overrides.set("dataset.seed", "--seed", self.seed);
        overrides.set("features.interval", "--interval", self.interval);
        overrides.set("features.count", "--count", self.count);
    }
}

impl ModelArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        overrides.set("predictor.model", "--model", self.model.as_ref());
    }
}

impl PlotArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        overrides.set("plot.refresh", "--refresh", self.refresh);
    }
}

impl BenchArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        let interval = self.rate.map(|rate| Duration::from_secs(1) / rate.get());
        self.model.override_in(overrides);
        overrides.set("dataset.source", "--source", self.source.as_ref());
        overrides.set("dataset.target", "--target", self.target.as_ref());
        overrides.set("features.count", "--rows", Some(self.rows));
        let interval = Period(interval.unwrap_or_default());
        overrides.set("features.interval", "--rate", Some(interval));
        let level = self.common.log_level.is_none().then_some("warn");
        overrides.set("telemetry.level", "--log-level", level);
    }
}

impl RunArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        self.common.override_in(overrides);
        self.stream.override_in(overrides);
        self.model.override_in(overrides);
        self.plot.override_in(overrides);
    }
}
