//! Topics and groups of this configuration.

use crate::{
    bus::{Topic, Topology},
    config::Config,
    message::{Body, Features, Prediction, Truth},
    services::{metric, predictor},
};

/// Everything that exists on the bus under this configuration.
#[must_use]
pub fn topology(config: &Config) -> Topology {
    let metric = metric::groups(config.metric.partitions);
    let metric: Vec<_> = metric.iter().map(String::as_str).collect();
    let topics = [
        Topic::new(Features::TOPIC, &[predictor::GROUP]),
        Topic::new(Truth::TOPIC, &metric),
        Topic::new(Prediction::TOPIC, &metric),
    ];
    let mut topology = Topology::with_dead_letters(topics.into());
    for topic in &mut topology.topics {
        topic.bytes_max = if topic.is_dead_letters() {
            config.bus.topic_bytes_max
        } else {
            config.bus.waiting_bytes_max()
        };
    }
    topology
}
