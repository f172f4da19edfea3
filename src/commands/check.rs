//! `residual check`: whether this configuration can run here, in one line for each part.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::output::print;
use crate::{
    bus::{self, Depth},
    clock::Clock,
    config::Config,
    pipeline,
};

/// How long a broker may take to answer; a healthy one needs milliseconds.
const BUS_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn run(config: &Config) -> Result<()> {
    let mut failures = 0;
    failures += report("configuration", Ok("every setting is usable".to_owned()))?;
    failures += report("model", model(config))?;
    failures += report("log", log(config))?;
    failures += report("bus", bus(config).await)?;
    if failures > 0 {
        bail!("{failures} of 4 checks failed")
    }
    Ok(())
}

/// Prints one line; 1 for a failure.
fn report(what: &str, outcome: Result<String>) -> Result<u32> {
    match outcome {
        Ok(said) => print(&format_args!("ok      {what:<14} {said}")).map(|()| 0),
        Err(error) => print(&format_args!("failed  {what:<14} {error:#}")).map(|()| 1),
    }
}

fn model(config: &Config) -> Result<String> {
    let path = &config.predictor.model;
    let model = pipeline::open_model(path)?;
    let info = model.info();
    let spec = pipeline::task_of_model(config, &model)?;
    Ok(format!(
        "{path} is a {} of {} features, a {spec}",
        info.class, info.n_features
    ))
}

fn log(config: &Config) -> Result<String> {
    pipeline::prepare_folder(&config.logs)?;
    Ok(format!("{} can be written", config.logs.display()))
}

async fn bus(config: &Config) -> Result<String> {
    let waited = tokio::time::timeout(BUS_WAIT, ask(config)).await;
    waited.with_context(|| {
        format!(
            "`{}` did not answer within {BUS_WAIT:?}",
            bus::redact(&config.bus.url)
        )
    })?
}

async fn ask(config: &Config) -> Result<String> {
    let bus = bus::connect(&config.bus, Clock::system(), bus::random_seed()).await?;
    let topology = pipeline::topology(config);
    bus.declare(&topology).await?;
    let broker = bus.describe().await?;
    let mut said = format!(
        "{} is {} {}",
        bus::redact(&config.bus.url),
        broker.name,
        broker.version
    );
    for (topic, group) in topology.working_groups() {
        let depth = bus.depth(topic, group).await?;
        let line = format!("\n        {topic}.{group}: {}", describe(depth));
        said.push_str(&line);
    }
    bus.close().await?;
    Ok(said)
}

/// A depth as a process sees it that consumes nothing itself.
fn describe(depth: Depth) -> String {
    let (ready, dead) = (depth.waiting(), depth.dead);
    match depth.elsewhere {
        Some(delivered) => {
            format!("{ready} ready, {delivered} delivered and not acknowledged, {dead} dead")
        }
        None => format!(
            "{ready} ready, {dead} dead; this broker does not report what is delivered and not acknowledged"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_does_not_report_is_said_and_not_shown_as_zero() {
        let mut depth = Depth {
            ready: 7,
            dead: 1,
            ..Depth::default()
        };
        let said = describe(depth);
        assert!(said.starts_with("7 ready, 1 dead; "), "{said}");
        assert!(said.contains("does not report"), "{said}");
        depth.elsewhere = Some(3);
        assert_eq!(
            describe(depth),
            "4 ready, 3 delivered and not acknowledged, 1 dead"
        );
    }
}
