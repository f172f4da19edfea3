//! Every setting, resolved once: defaults < `residual.toml` < `RESIDUAL__SECTION__KEY` < flags.
//!
//! Promise: an unknown key or an impossible value is refused before anything starts, with the place where it was given.
//! Each section is the `Config` of one module; no module below this one sees the others. Deliberately absent: reloading,
//! profiles, and settings that only a debugger needs.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::{
    bus, chart, dashboard, dataset,
    services::{features, metric, plot, predictor},
    task::{self, Labels, TaskChoice},
    telemetry,
};

/// The file that is read from the working directory unless `--config` names another.
pub const FILE: &str = "residual.toml";

const ENV_PREFIX: &str = "RESIDUAL__";

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of `metric_log.csv`, `error_distribution.png` and the ledger's store.
    pub logs: PathBuf,
    /// What predictions are: `regression`, `classification`, or `auto`: as the model says where the process has one, else
    /// as the logs folder says, else regression.
    pub task: TaskChoice,
    /// The labels of a classification, text or numbers, in the order of the model's classes. A process that has a model
    /// takes them from it; without a model they are needed for labels that are text.
    pub labels: Labels,
    /// How services reach each other.
    pub bus: bus::Config,
    /// Where rows come from.
    pub dataset: dataset::Config,
    /// How rows are streamed.
    pub features: features::Config,
    /// Which model scores them.
    pub predictor: predictor::Config,
    /// How truth and prediction are joined and logged.
    pub metric: metric::Config,
    /// When the picture is drawn, and the windows of the page.
    pub plot: plot::Config,
    /// How the picture looks.
    pub chart: chart::Config,
    /// The live page.
    pub dashboard: dashboard::Config,
    /// The process's own logs.
    pub telemetry: telemetry::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            logs: PathBuf::from("logs"),
            task: TaskChoice::Auto,
            labels: Labels::default(),
            bus: bus::Config::default(),
            dataset: dataset::Config::default(),
            features: features::Config::default(),
            predictor: predictor::Config::default(),
            metric: metric::Config::default(),
            plot: plot::Config::default(),
            chart: chart::Config::default(),
            dashboard: dashboard::Config::default(),
            telemetry: telemetry::Config::default(),
        }
    }
}

/// Settings given by flags.
#[derive(Debug, Default)]
pub struct Overrides(Vec<Override>);

#[derive(Debug)]
struct Override {
    key: &'static str,
    flag: &'static str,
    value: figment::value::Value,
}

impl Overrides {
    /// Records that `flag` sets `key`, if it was given.
    pub fn set<T: Serialize>(&mut self, key: &'static str, flag: &'static str, value: Option<T>) {
        let value = value.and_then(|value| figment::value::Value::serialize(value).ok());
        self.0
            .extend(value.map(|value| Override { key, flag, value }));
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--config` names a file that cannot be read.
    #[error("cannot read `{}`, named by `--config`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// One line for each bad setting.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings(Vec<BadSetting>),
}

/// One bad setting: its key, where it was given, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// Such as `bus.url`.
    pub key: String,
    /// The file, variable or flag.
    pub origin: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.reason)?;
        if self.origin.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.origin)
        }
    }
}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// Every bad setting, each with the place where it was given.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let toml = match file {
            None => Toml::file(FILE),
            Some(path) => {
                std::fs::File::open(path).map_err(|source| ConfigError::File {
                    path: path.to_owned(),
                    source,
                })?;
                Toml::file_exact(path)
            }
        };
        Self::from_layers(
            Figment::from(Serialized::defaults(Self::default())).merge(toml),
            overrides,
        )
    }

    fn from_layers(lower: Figment, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut figment = lower.merge(Env::prefixed(ENV_PREFIX).split("__"));
        let flags: Vec<_> = overrides
            .0
            .iter()
            .map(|flag| (flag.key, flag.flag))
            .collect();
        for Override { key, value, .. } in overrides.0 {
            figment = figment.merge(Serialized::default(key, value));
        }
        let config: Self = figment.extract().map_err(|errors| {
            ConfigError::Settings(
                errors
                    .into_iter()
                    .map(|error| bad_setting(&error, &flags))
                    .collect(),
            )
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Bounds that types cannot express.
    fn validate(&self) -> Result<(), ConfigError> {
        let positive: [(&str, u64); 11] = [
            ("bus.attempts_max", self.bus.attempts_max.into()),
            ("bus.lease_ms", self.bus.lease_ms),
            ("bus.publish_window", self.bus.publish_window as u64),
            ("bus.consume_window", self.bus.consume_window as u64),
            ("bus.topic_bytes_max", self.bus.topic_bytes_max),
            ("bus.embedded_bytes_max", self.bus.embedded_bytes_max),
            ("bus.backoff_max_ms", self.bus.backoff_max_ms),
            ("features.frame_records", self.features.frame_records as u64),
            ("features.frame_bytes", self.features.frame_bytes as u64),
            ("predictor.batch_frames", self.predictor.batch_frames as u64),
            (
                "predictor.batches_in_flight",
                self.predictor.batches_in_flight as u64,
            ),
        ];
        let mut bad: Vec<_> = positive
            .iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, _)| setting(key, "is 0, expected at least 1"))
            .collect();
        if let Err(error) = task::check_labels(&self.labels) {
            bad.push(setting("labels", error));
        }
        if !self.labels.is_empty() && self.task == TaskChoice::Regression {
            bad.push(setting("labels", "are given, but `task` is regression"));
        }
        if let Err(error) = self.metric.check() {
            bad.push(setting("metric", error));
        }
        if let Err(error) = self.dashboard.check() {
            bad.push(setting("dashboard.mae_max", error));
        }
        if let Err(error) = self.plot.check() {
            bad.push(setting("plot.output", error));
        }
        if let Err(error) = self.chart.validate() {
            bad.push(setting("chart", error));
        }
        if self.bus.attempts_max > bus::ATTEMPTS_MAX {
            let reason = format_args!("is over the maximum of {}", bus::ATTEMPTS_MAX);
            bad.push(setting("bus.attempts_max", reason));
        }
        if self.features.frame_records > FRAME_RECORDS_MAX {
            bad.push(setting(
                "features.frame_records",
                format_args!("is over the maximum of {FRAME_RECORDS_MAX}"),
            ));
        }
        if bad.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Settings(bad))
        }
    }
}

/// With wide rows, a larger frame would exceed the brokers' size limits.
const FRAME_RECORDS_MAX: usize = 4_096;

/// Their values are never shown, not even wrong ones.
const SECRETS: [&str; 2] = ["bus.url", "dashboard.token"];

fn setting(key: &str, reason: impl fmt::Display) -> BadSetting {
    BadSetting {
        key: key.to_owned(),
        origin: String::new(),
        reason: reason.to_string(),
    }
}

fn bad_setting(error: &figment::Error, flags: &[(&str, &str)]) -> BadSetting {
    let key = error.path.join(".");
    let flag = flags
        .iter()
        .find(|(flagged, _)| *flagged == key)
        .map(|(_, flag)| format!("flag `{flag}`"));
    let origin = flag.unwrap_or_else(|| match &error.metadata {
        Some(metadata) => origin(metadata, &error.path),
        None => String::new(),
    });
    let reason = if SECRETS.contains(&key.as_str()) {
        "is not text; a value that looks like a number needs quotes of its own, as in `'\"123\"'`"
            .to_owned()
    } else {
        error.kind.to_string()
    };
    BadSetting {
        key,
        origin,
        reason,
    }
}

fn origin(metadata: &figment::Metadata, path: &[String]) -> String {
    match &metadata.source {
        Some(figment::Source::File(file)) => format!("in `{}`", file.display()),
        _ if metadata.name.contains("environment") => {
            format!("variable `{ENV_PREFIX}{}`", path.join("__").to_uppercase())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, overrides: Overrides) -> Result<Config, String> {
        let lower =
            Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(toml));
        Config::from_layers(lower, overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_beats_the_file() {
        let mut overrides = Overrides::default();
        overrides.set("features.count", "--count", Some(7));
        overrides.set::<u64>("dataset.seed", "--seed", None);
        let config = load("[features]\ncount = 5\n[dataset]\nseed = 3", overrides).unwrap();
        assert_eq!((config.features.count, config.dataset.seed), (7, Some(3)));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = load("[bus]\nurll = \"x\"", Overrides::default()).unwrap_err();
        assert!(
            error.contains("`bus.urll`") && error.contains("expected"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_flag_is_named() {
        let mut overrides = Overrides::default();
        overrides.set("features.interval", "--interval", Some("soon"));
        let error = load("", overrides).unwrap_err();
        assert!(
            error.contains("`features.interval`") && error.contains("flag `--interval`"),
            "{error}"
        );
    }

    #[test]
    fn an_impossible_value_is_refused() {
        let error = load("[bus]\nconsume_window = 0", Overrides::default()).unwrap_err();
        assert_eq!(error, "`bus.consume_window`: is 0, expected at least 1");
        let error = load("[bus]\nattempts_max = 41", Overrides::default()).unwrap_err();
        assert_eq!(error, "`bus.attempts_max`: is over the maximum of 40");
    }

    /// `section.key` of every value.
    fn keys(value: &serde_json::Value, place: &str, found: &mut Vec<String>) {
        let serde_json::Value::Object(section) = value else {
            return found.push(place.to_owned());
        };
        for (key, value) in section {
            keys(
                value,
                &if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}.{key}")
                },
                found,
            );
        }
    }

    #[test]
    fn the_shipped_file_shows_every_setting_with_its_default() {
        let shipped =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap();
        let config: Config = Figment::from(Toml::string(&shipped)).extract().unwrap();
        assert_eq!(config, Config::default());
        // A setting without a default is a comment there. Uncommented, every key must be there.
        let shown = shipped.lines().map(uncommented).collect::<Vec<_>>().join(
            "
",
        );
        let shown: serde_json::Value = Figment::from(Toml::string(&shown)).extract().unwrap();
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        keys(
            &serde_json::to_value(Config::default()).unwrap(),
            "",
            &mut expected,
        );
        keys(&shown, "", &mut found);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    fn uncommented(line: &str) -> &str {
        let setting = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        setting.unwrap_or(line)
    }
}
