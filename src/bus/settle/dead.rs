//! Writing dead letters: their headers, their ids, and the wait for their confirmation.

use std::sync::Arc;

use super::super::{
    BusError, Message, Publisher, Receipt, backend::Backend, ids::derived_id, topology::dead_topic,
};
use crate::clock::Clock;

/// Why the message died.
pub const REASON: &str = "residual-dead-reason";
/// How often it had been tried.
pub const ATTEMPTS: &str = "residual-dead-attempts";
/// The topic it died on.
pub const TOPIC: &str = "residual-dead-topic";
/// The group it died in.
pub const GROUP: &str = "residual-dead-group";
/// When it died for the first time, in milliseconds since the Unix epoch.
pub const FIRST_SEEN_MS: &str = "residual-dead-first-seen-ms";
/// Its message id when it died; the letter has one of its own.
pub const ORIGINAL_ID: &str = "residual-dead-id";
/// The one group that a redriven message is for.
pub const ONLY_GROUP: &str = "residual-only-group";

/// Brokers bound the size of headers, and the beginning of a reason matters most.
const REASON_CHARS_MAX: usize = 500;

/// The dead letters of one group.
pub(super) struct DeadLetterWriter {
    backend: Arc<dyn Backend>,
    publisher: Option<Box<dyn Publisher>>,
    topic: String,
    group: String,
    clock: Clock,
}

impl DeadLetterWriter {
    pub(super) fn new(backend: Arc<dyn Backend>, topic: &str, group: &str, clock: Clock) -> Self {
        Self {
            backend,
            publisher: None,
            topic: topic.to_owned(),
            group: group.to_owned(),
            clock,
        }
    }

    /// The copy that goes to the dead letters. `part` makes a difference between the letters of one message.
    pub(super) fn letter(
        &self,
        message: Message,
        reason: &str,
        attempts: u32,
        part: usize,
    ) -> Message {
        let origin = format!("dead {} {} {part}", self.topic, self.group);
        let id = derived_id(message.id, &origin, &message.body);
        let mut headers = message.headers;
        headers.remove(ONLY_GROUP);
        headers.insert(REASON.to_owned(), one_line(reason));
        headers.insert(ATTEMPTS.to_owned(), attempts.to_string());
        headers.insert(TOPIC.to_owned(), self.topic.clone());
        headers.insert(GROUP.to_owned(), self.group.clone());
        headers.insert(ORIGINAL_ID.to_owned(), message.id.to_string());
        headers
            .entry(FIRST_SEEN_MS.to_owned())
            .or_insert_with(|| self.clock.now_ms().to_string());
        Message {
            id,
            headers,
            ..message
        }
    }

    /// Publishes letters and waits until they are stored.
    pub(super) async fn write(&mut self, letters: Vec<Message>) -> Result<(), BusError> {
        if letters.is_empty() {
            return Ok(());
        }
        let receipt = self.send(letters).await?;
        receipt.await.map_err(|_| BusError::Closed)
    }

    /// Publishes letters; the receipt resolves when they are stored.
    pub(super) async fn send(&mut self, letters: Vec<Message>) -> Result<Receipt, BusError> {
        self.publisher().await?.publish(letters).await
    }

    async fn publisher(&mut self) -> Result<&mut Box<dyn Publisher>, BusError> {
        let publisher = if let Some(publisher) = self.publisher.take() {
            publisher
        } else {
            let topic = dead_topic(&self.topic, &self.group);
            self.backend.publisher(&topic).await?
        };
        Ok(self.publisher.insert(publisher))
    }

    pub(super) async fn close(&mut self) -> Result<(), BusError> {
        match self.publisher.take() {
            Some(publisher) => publisher.close().await,
            None => Ok(()),
        }
    }
}

/// Header values hold no control characters on any broker.
fn one_line(reason: &str) -> String {
    reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let reason = one_line(&format!("first\r\nsecond {}", "ü".repeat(2_000)));
        assert!(reason.starts_with("first  second"));
        assert_eq!(reason.chars().count(), REASON_CHARS_MAX);
    }
}
