//! What the broker asks the disk to store: the one language of `store`, which sends it, and `schema`, which writes it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::topic::{AppendedMessage, Topic};

/// Something to be stored.
#[derive(Debug)]
pub(super) enum Op {
    /// Topics as they are now declared.
    Topics(Vec<TopicRecord>),
    /// New messages; they become deliverable once they are stored.
    Append {
        topic: Arc<Topic>,
        messages: Vec<AppendedMessage>,
    },
    /// How often messages of a group were tried.
    Attempts {
        topic: u32,
        group: u32,
        tries: Vec<(u64, u32)>,
    },
    /// Messages that a group is done with; `true` where it was the last group.
    Done {
        topic: u32,
        group: u32,
        /// How many groups the topic has.
        groups: u32,
        done: Vec<(u64, bool)>,
        tries: Vec<(u64, u32)>,
    },
    /// Nothing; its answer means that everything before it is stored.
    Flush,
}

/// A topic as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopicRecord {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) bytes_max: u64,
    /// Names, each with the first message that belongs to the group.
    pub(super) groups: Vec<(String, u64)>,
}

impl TopicRecord {
    pub(super) fn of(topic: &Topic) -> Self {
        let state = topic.lock();
        Self {
            name: topic.name.clone(),
            id: topic.id,
            bytes_max: topic.bytes_max,
            groups: state
                .groups
                .iter()
                .map(|g| (g.name.clone(), g.from))
                .collect(),
        }
    }
}
