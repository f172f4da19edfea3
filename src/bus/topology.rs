//! What exists on a bus: topics, their groups, and a dead-letter topic for each group.
//!
//! Every service declares the whole of it before it publishes or consumes, so start order never loses a message.

/// The one group of every dead-letter topic; `redrive` consumes as it.
pub const DEAD_GROUP: &str = "redrive";

/// Topics with their groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Every topic, dead-letter topics included.
    pub topics: Vec<Topic>,
}

/// A named stream of messages; each of its groups gets every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Lower-case letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// Consumers in one group share the topic's messages.
    pub groups: Vec<String>,
    /// Bytes that may wait in the topic before publishers are made to wait.
    pub bytes_max: u64,
}

impl Topology {
    /// The given topics, and for each of their groups a dead-letter topic `topic.group.dead`.
    #[must_use]
    pub fn with_dead_letters(topics: Vec<Topic>) -> Self {
        let dead = topics
            .iter()
            .flat_map(Topic::dead_letter_topics)
            .collect::<Vec<_>>();
        Self {
            topics: topics.into_iter().chain(dead).collect(),
        }
    }

    /// Adds the topics and groups of another topology that this one lacks. What both have stays as it was.
    pub(super) fn merge(&mut self, other: &Self) {
        for topic in &other.topics {
            match self
                .topics
                .iter_mut()
                .find(|known| known.name == topic.name)
            {
                None => self.topics.push(topic.clone()),
                Some(known) => {
                    for group in &topic.groups {
                        if !known.groups.contains(group) {
                            known.groups.push(group.clone());
                        }
                    }
                }
            }
        }
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }

    /// Every group with the topic whose messages it works on; the groups of dead letters only keep theirs.
    pub fn working_groups(&self) -> impl Iterator<Item = (&str, &str)> {
        self.topics
            .iter()
            .filter(|topic| !topic.is_dead_letters())
            .flat_map(|topic| {
                let groups = topic.groups.iter();
                groups.map(|group| (topic.name.as_str(), group.as_str()))
            })
    }

    /// Whether that group of that topic is declared.
    #[must_use]
    pub fn has_group(&self, topic: &str, group: &str) -> bool {
        self.topic(topic)
            .is_some_and(|topic| topic.groups.iter().any(|name| name == group))
    }
}

impl Topic {
    /// A topic with the default bound of 64 MiB: a minute of outage at 1 MiB/s of frames.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(ToString::to_string).collect();
        Self {
            name: name.to_owned(),
            groups,
            bytes_max: 64 << 20,
        }
    }

    /// Whether it holds the dead letters of some group.
    #[must_use]
    pub fn is_dead_letters(&self) -> bool {
        self.groups == [DEAD_GROUP]
    }

    fn dead_letter_topics(&self) -> impl Iterator<Item = Self> {
        self.groups.iter().map(|group| Self {
            name: dead_topic(&self.name, group),
            groups: vec![DEAD_GROUP.to_owned()],
            bytes_max: self.bytes_max,
        })
    }
}

/// The name of the topic that takes the dead letters of `group` on `topic`.
#[must_use]
pub fn dead_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.dead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_dead_letter_topic() {
        let topology =
            Topology::with_dead_letters(vec![Topic::new("y_true", &["metric", "audit"])]);
        assert!(topology.has_group("y_true.metric.dead", DEAD_GROUP));
        assert!(topology.has_group("y_true.audit.dead", DEAD_GROUP));
        assert!(!topology.has_group("y_true", "predictor"));
        let working: Vec<_> = topology.working_groups().collect();
        assert_eq!(working, [("y_true", "metric"), ("y_true", "audit")]);
    }
}
