//! Where posted records go: one publisher for each topic.
//!
//! Promise: a publisher serves one request at a time, how many requests may wait is bounded, and a request is answered
//! only after the bus has confirmed its records.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::timeout,
};

use super::{config::Config, ports::Ingest, refusal::Refusal};
use crate::{
    bus::{BusError, Link, Message, Publisher, Unconfirmed},
    message::{Body, Features, Prediction, Truth},
    telemetry::with_causes,
};

/// The publishers, and what a request must wait for.
pub(super) struct RecordSink {
    topics: [TopicPublisher; 3],
    link: watch::Receiver<Link>,
    /// One for each request that may wait.
    permits: Arc<Semaphore>,
    confirm_timeout: Duration,
}

/// The publisher of one topic; `None` once it is closed.
struct TopicPublisher {
    topic: &'static str,
    publisher: Arc<Mutex<Option<Box<dyn Publisher>>>>,
}

impl TopicPublisher {
    fn new<B: Body>(publisher: Box<dyn Publisher>) -> Self {
        Self {
            topic: B::TOPIC,
            publisher: Arc::new(Mutex::new(Some(publisher))),
        }
    }

    async fn close(&self) -> Result<(), BusError> {
        match self.publisher.lock().await.take() {
            Some(publisher) => publisher.close().await,
            None => Ok(()),
        }
    }
}

/// Why records did not reach the bus.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}

impl RecordSink {
    pub(super) fn new(ingest: Ingest, config: &Config) -> Self {
        Self {
            topics: [
                TopicPublisher::new::<Features>(ingest.features),
                TopicPublisher::new::<Truth>(ingest.truths),
                TopicPublisher::new::<Prediction>(ingest.predictions),
            ],
            link: ingest.link,
            permits: Arc::new(Semaphore::new(config.posts_in_flight_max.max(1))),
            confirm_timeout: Duration::from_millis(config.confirm_ms),
        }
    }

    /// Sends messages and waits until the bus has confirmed them.
    pub(super) async fn send(&self, topic: &str, messages: Vec<Message>) -> Result<(), Refusal> {
        if let Link::Down { .. } = *self.link.borrow() {
            return Err(unavailable(
                "the broker cannot be reached; nothing was taken",
            ));
        }
        let Some(target) = self.topics.iter().find(|one| one.topic == topic) else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no such topic"));
        };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let error = "too many requests are waiting for the bus; nothing was taken";
            return Err(Refusal::busy(StatusCode::TOO_MANY_REQUESTS, error, 1));
        };
        let publisher = Arc::clone(&target.publisher);
        // In a task of its own: a client that hangs up must not leave a publication half done.
        let sending = tokio::spawn(async move {
            let sent = publish(&publisher, messages).await;
            drop(permit);
            sent
        });
        match timeout(self.confirm_timeout, sending).await {
            Ok(Ok(sent)) => sent.map_err(|error| refusal(&error)),
            Ok(Err(_)) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "sending failed unexpectedly",
            )),
            Err(_) => Err(unavailable(
                "the bus has not confirmed in time; send the same request again",
            )),
        }
    }

    /// Takes no more records. Returns once everything taken before is confirmed, or after `confirm_ms` at the latest.
    pub(super) async fn close(&self) {
        let closing = self.topics.iter().map(|topic| async {
            if !matches!(
                timeout(self.confirm_timeout, topic.close()).await,
                Ok(Ok(()))
            ) {
                let topic = topic.topic;
                tracing::warn!(
                    topic,
                    "posted records are unconfirmed; their senders were told so"
                );
            }
        });
        futures::future::join_all(closing).await;
    }
}

async fn publish(
    publisher: &Mutex<Option<Box<dyn Publisher>>>,
    messages: Vec<Message>,
) -> Result<(), PublishError> {
    let receipt = match publisher.lock().await.as_mut() {
        Some(publisher) => publisher.publish(messages).await?,
        None => return Err(BusError::Closed.into()),
    };
    Ok(receipt.await?)
}

pub(super) fn unavailable(error: &str) -> Refusal {
    Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, error, 5)
}

fn refusal(error: &PublishError) -> Refusal {
    match error {
        PublishError::Bus(BusError::TooLarge { .. }) => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        PublishError::Bus(BusError::Closed) => {
            unavailable("the process is stopping; nothing was taken")
        }
        PublishError::Unconfirmed(_) => {
            unavailable("the bus has not confirmed; send the same request again")
        }
        PublishError::Bus(_) => {
            tracing::error!(
                error = %with_causes(error),
                "posted records could not be published"
            );
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                "the bus refused the records; the reason is in the log",
            )
        }
    }
}
