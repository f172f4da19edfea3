//! What the predictions are: the model says it where there is one, else the settings, else the logs folder.

use anyhow::{Result, bail};

use crate::{
    config::Config,
    metric_log::{read_task, task_file},
    services::metric::MetricError,
    task::{self, Task, TaskSpec},
};
use residual_model::Model;

/// How rows are judged in this process; none where neither a model nor a setting says it.
pub(super) fn settle(config: &Config, model: Option<&Model>) -> Result<Option<TaskSpec>> {
    match model {
        Some(model) => of_model(config, model).map(Some),
        None => Ok(asked(config)),
    }
}

pub(super) fn of_model(config: &Config, model: &Model) -> Result<TaskSpec> {
    let spec = TaskSpec::of_model(model.info());
    let class = &model.info().class;
    if let Some(labels) = &spec.labels
        && let Err(reason) = task::check_labels(labels)
    {
        bail!("`{}` cannot be judged: {reason}", config.predictor.model);
    }
    if let Some(task) = config.task.asked()
        && task != spec.task
    {
        bail!(
            "`task` is {task}, but `{}` ({class}) is a {}: leave `task` at auto, or give the right model",
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
            "`labels` is {}, but `{}` ({class}) {has}: leave `labels` empty, or give the right model",
            config.labels,
            config.predictor.model
        );
    }
    Ok(spec)
}

/// Labels are for a classification only, so naming some asks for one.
fn asked(config: &Config) -> Option<TaskSpec> {
    let labels = (!config.labels.is_empty()).then(|| config.labels.clone());
    match config.task.asked() {
        Some(Task::Regression) => Some(TaskSpec::default()),
        Some(Task::Classification) => Some(TaskSpec::of_labels(labels)),
        None if labels.is_some() => Some(TaskSpec::of_labels(labels)),
        None => None,
    }
}

/// The log goes on as it was begun. The ledger holds to that too, but only once others are running.
fn of_log(config: &Config, spec: Option<TaskSpec>) -> Result<TaskSpec> {
    let said = read_task(&config.logs)?;
    let Some(spec) = spec else {
        return Ok(said.unwrap_or_default());
    };
    match said {
        Some(said) if !said.agrees(&spec) => Err(MetricError::OtherLabels {
            path: task_file(&config.logs),
            said: said.to_string(),
            wanted: spec.to_string(),
        }
        .into()),
        _ => Ok(spec),
    }
}

/// The same for a process that joins: it begins the log, so it must know.
pub(super) fn for_services(
    config: &Config,
    spec: Option<TaskSpec>,
    joins: bool,
) -> Result<Option<TaskSpec>> {
    if joins {
        of_log(config, spec).map(Some)
    } else {
        Ok(spec)
    }
}
