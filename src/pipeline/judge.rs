//! What the predictions are: the model says it where there is one, else the settings, else the logs folder.

use anyhow::{Result, bail};

use crate::{
    config::Config,
    metric_log::{read_task, task_file},
    services::metric::{MetricError, Windows},
    task::{self, Judge, Task},
};
use residual_model::Model;

/// How rows are judged in this process; none where neither a model nor a setting says it.
pub(super) fn settle(config: &Config, model: Option<&Model>) -> Result<Option<Judge>> {
    match model {
        Some(model) => of_model(config, model).map(Some),
        None => Ok(asked(config)),
    }
}

pub(super) fn of_model(config: &Config, model: &Model) -> Result<Judge> {
    let judge = Judge::of_model(model.info());
    let class = &model.info().class;
    if let Some(labels) = &judge.labels
        && let Err(reason) = task::check_labels(labels)
    {
        bail!("`{}` cannot be judged: {reason}", config.predictor.model);
    }
    if let Some(task) = config.task.asked()
        && task != judge.task
    {
        bail!(
            "`task` is {task}, but `{}` ({class}) is a {}: leave `task` at auto, or give the right model",
            config.predictor.model,
            judge.task
        );
    }
    if !config.labels.is_empty() && judge.labels.as_ref() != Some(&config.labels) {
        let has = judge
            .labels
            .as_ref()
            .map_or_else(|| "has none".to_owned(), |labels| format!("has {labels}"));
        bail!(
            "`labels` is {}, but `{}` ({class}) {has}: leave `labels` empty, or give the right model",
            config.labels,
            config.predictor.model
        );
    }
    Ok(judge)
}

/// Labels are for a classification only, so naming some asks for one.
fn asked(config: &Config) -> Option<Judge> {
    let labels = (!config.labels.is_empty()).then(|| config.labels.clone());
    match config.task.asked() {
        Some(Task::Regression) => Some(Judge::default()),
        Some(Task::Classification) => Some(Judge::of_labels(labels)),
        None if labels.is_some() => Some(Judge::of_labels(labels)),
        None => None,
    }
}

/// The log goes on as it was begun. The ledger holds to that too, but only once others are running.
fn of_log(config: &Config, judge: Option<Judge>) -> Result<Judge> {
    let said = read_task(&config.logs)?;
    let Some(judge) = judge else {
        return Ok(said.unwrap_or_default());
    };
    match said {
        Some(said) if !said.agrees(&judge) => Err(MetricError::OtherLabels {
            path: task_file(&config.logs),
            said: said.to_string(),
            wanted: judge.to_string(),
        }
        .into()),
        _ => Ok(judge),
    }
}

/// The settings with what was settled: the metric service begins the log, so it must know.
pub(super) fn into_settings(config: &mut Config, judge: Option<Judge>, joins: bool) -> Result<()> {
    let judge = if joins {
        Some(of_log(config, judge)?)
    } else {
        judge
    };
    config.metric.judge = judge.clone().unwrap_or_default();
    config.metric.windows = Windows {
        rows: config.plot.window_rows,
        ms: crate::clock::saturating_ms(config.plot.window.0).max(1),
    };
    config.plot.judge = judge;
    Ok(())
}
