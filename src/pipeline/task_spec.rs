//! What the predictions are: the model says so where there is one, else the settings, else the logs folder.

use anyhow::{Result, bail};

use crate::{
    config::Config,
    metric_log::{read_task, task_file},
    services::metric::MetricError,
    task::{self, Task, TaskSpec},
};
use residual_model::Model;

/// What predictions are in this process; `None` where neither a model nor a setting says so.
pub(super) fn resolve(config: &Config, model: Option<&Model>) -> Result<Option<TaskSpec>> {
    match model {
        Some(model) => task_of_model(config, model).map(Some),
        None => Ok(task_of_settings(config)),
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

/// What predictions are, as far as the settings alone say so. Only a classification has labels, so naming some asks for
/// one.
#[must_use]
pub fn task_of_settings(config: &Config) -> Option<TaskSpec> {
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

/// The same once services start: a process that joins must agree with the log that it goes on with.
pub(super) fn for_services(
    config: &Config,
    spec: Option<TaskSpec>,
    joins: bool,
) -> Result<Option<TaskSpec>> {
    if joins {
        agreed_with_log(config, spec).map(Some)
    } else {
        Ok(spec)
    }
}
