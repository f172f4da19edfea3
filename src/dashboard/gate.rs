//! Posted records on their way to the bus: in order, bounded, confirmed.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::timeout,
};

use super::{answer::Refusal, config::Config, ports::Ingest};
use crate::{
    bus::{BusError, Link, Message, Publisher, Unconfirmed},
    message::{Body, Features, Prediction, Truth},
    telemetry::with_causes,
};

/// One request at a time goes to a publisher; how many may wait is bounded.
pub(super) struct Gate {
    lanes: [Lane; 3],
    link: watch::Receiver<Link>,
    places: Arc<Semaphore>,
    confirm: Duration,
}

struct Lane {
    topic: &'static str,
    publisher: Arc<Mutex<Option<Box<dyn Publisher>>>>,
}

impl Lane {
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

/// Why records are not on the bus.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}

impl Gate {
    pub(super) fn new(ingest: Ingest, config: &Config) -> Self {
        Self {
            lanes: [
                Lane::new::<Features>(ingest.features),
                Lane::new::<Truth>(ingest.truths),
                Lane::new::<Prediction>(ingest.predictions),
            ],
            link: ingest.link,
            places: Arc::new(Semaphore::new(config.posts_in_flight_max.max(1))),
            confirm: Duration::from_millis(config.confirm_ms),
        }
    }

    /// Sends and waits for the bus's word.
    pub(super) async fn send(&self, topic: &str, messages: Vec<Message>) -> Result<(), Refusal> {
        if let Link::Down { .. } = *self.link.borrow() {
            return Err(away("the broker is away; nothing was taken"));
        }
        let Some(lane) = self.lanes.iter().find(|lane| lane.topic == topic) else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no such topic"));
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let error = "too many requests wait for the bus; nothing was taken";
            return Err(Refusal::busy(StatusCode::TOO_MANY_REQUESTS, error, 1));
        };
        let publisher = Arc::clone(&lane.publisher);
        let sending = tokio::spawn(async move {
            let sent = publish(&publisher, messages).await;
            drop(place);
            sent
        });
        match timeout(self.confirm, sending).await {
            Ok(Ok(sent)) => sent.map_err(|error| refusal(&error)),
            Ok(Err(_)) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "sending broke down",
            )),
            Err(_) => Err(away(
                "the bus has not confirmed in time; send the same request again",
            )),
        }
    }

    /// Lets nothing more in; returns when all that was is confirmed, or after as long as a client waits for that.
    pub(super) async fn close(&self) {
        let closing = self.lanes.iter().map(|lane| async {
            if !matches!(timeout(self.confirm, lane.close()).await, Ok(Ok(()))) {
                let topic = lane.topic;
                tracing::warn!(
                    topic,
                    "posted records are unconfirmed; whoever sent them was told so"
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

pub(super) fn away(error: &str) -> Refusal {
    Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, error, 5)
}

fn refusal(error: &PublishError) -> Refusal {
    match error {
        PublishError::Bus(BusError::TooLarge { .. }) => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        PublishError::Bus(BusError::Closed) => away("the process is stopping; nothing was taken"),
        PublishError::Unconfirmed(_) => {
            away("the bus has not confirmed; send the same request again")
        }
        PublishError::Bus(_) => {
            tracing::error!(
                error = %with_causes(error),
                "posted records could not be published"
            );
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                "the bus refused; its reason is in the log",
            )
        }
    }
}
