//! `residual redrive TOPIC`: sends dead letters back to the group that could not use them.

use anyhow::{Result, bail};

use super::output::print;
use crate::{bus, clock::Clock, config::Config, pipeline};

pub(super) async fn run(config: &Config, topic: &str) -> Result<()> {
    let topology = pipeline::topology(config);
    let Some(found) = topology
        .topic(topic)
        .filter(|topic| !topic.is_dead_letters())
    else {
        bail!("`{topic}` is not a topic; choose `features`, `y_true` or `y_pred`");
    };
    let bus = bus::connect(&config.bus, Clock::system(), bus::random_seed()).await?;
    bus.declare(&topology).await?;
    for group in &found.groups {
        let count = bus.redrive(topic, group).await?;
        print(&format_args!(
            "{count} dead letters of {topic}.{group} sent back"
        ))?;
    }
    Ok(bus.close().await?)
}
