//! What the predictions are: the model says so where there is one, else the settings, else the logs folder.

use anyhow::{Result, bail};

use crate::{
    config::Config,
    metric_log::{read_task, task_file},
    services::metric::{MetricError, Windows},
    task::{self, Task, TaskSpec},
};
use residual_model::Model;

/// What predictions are in this process; `None` where neither a model nor a setting says so.
pub(super) fn resolve(config: &Config, model: Option<&Model>) -> Result<Option<TaskSpec>> {
    match model {
        Some(model) => task_of_model(config, model).map(Some),
        None => Ok(from_settings(config)),
    }
}

/// What the predictions of this model are.
///
/// # Errors
/// When the settings ask for something else.
pub fn task_of_model(config: &Config, model: &Model) -> Result<TaskSpec> {
    let spec = TaskSpec::of_model(model.info());
    let class = &model.info().class;
    if let Some(labels) = &spec.labels
        && let Err(reason) = task::check_labels(labels)
    {
        bail!("`{}` cannot be used: {reason}", config.predictor.model);
    }
    if let Some(task) = config.task.asked()
        && task != spec.task
    {
        bail!(
            "`task` is {task}, but `{}` ({class}) is a {}: leave `task` at `auto`, or use another model",
            config.predictor.model,
            spec.task
        );
    }
    if !config.labels.is_empty() && spec.labels.as_ref() != Some(&config.labels) {
        let has = spec
            .labels
            .as_ref()
            .map_or_else(|| "has none".to_owned(), |labels| format!("has {labels}"));
        bail!(
            "`labels` is {}, but `{}` ({class}) {has}: leave `labels` empty, or use another model",
            config.labels,
            config.predictor.model
        );
    }
    Ok(spec)
}

/// Only a classification has labels, so naming some asks for one.
fn from_settings(config: &Config) -> Option<TaskSpec> {
    let labels = (!config.labels.is_empty()).then(|| config.labels.clone());
    match config.task.asked() {
        Some(Task::Regression) => Some(TaskSpec::default()),
        Some(Task::Classification) => Some(TaskSpec::of_labels(labels)),
        None if labels.is_some() => Some(TaskSpec::of_labels(labels)),
        None => None,
    }
}

/// A log that has begun must go on with the same task. The ledger checks that too, but only once services run.
fn agreed_with_log(config: &Config, spec: Option<TaskSpec>) -> Result<TaskSpec> {
    let logged = read_task(&config.logs)?;
    let Some(spec) = spec else {
        return Ok(logged.unwrap_or_default());
    };
    match logged {
        Some(logged) if !logged.agrees(&spec) => Err(MetricError::OtherLabels {
            path: task_file(&config.logs),
            said: logged.to_string(),
            wanted: spec.to_string(),
        }
        .into()),
        _ => Ok(spec),
    }
}

/// Puts what predictions are into the settings of the services; the metric service needs it to begin the log.
pub(super) fn apply(config: &mut Config, spec: Option<TaskSpec>, joins: bool) -> Result<()> {
    let spec = if joins {
        Some(agreed_with_log(config, spec)?)
    } else {
        spec
    };
    set(config, spec);
    Ok(())
}

fn set(config: &mut Config, spec: Option<TaskSpec>) {
    config.metric.spec = spec.clone().unwrap_or_default();
    config.metric.windows = Windows {
        rows: config.plot.window_rows,
        ms: crate::clock::saturating_ms(config.plot.window.0).max(1),
    };
    config.plot.spec = spec;
}

/// The settings with what predictions are, as far as the settings alone say so.
#[must_use]
pub fn config_with_task(config: &Config) -> Config {
    let mut config = config.clone();
    let spec = from_settings(&config);
    set(&mut config, spec);
    config
}
