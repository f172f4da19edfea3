//! Publishing to the embedded broker.
//!
//! Promise: a message is numbered only when there is room for its bytes; a full topic makes publishers wait in the
//! order in which they came. In memory a receipt resolves at once, on disk after the commit that holds the message.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use super::{
    super::{BusError, Message, Publisher, Receipt, Unconfirmed},
    BODY_MAX,
    broker::Client,
    topic::Topic,
};

/// Publishes to one topic of the embedded broker.
pub(super) struct EmbeddedPublisher {
    client: Arc<Client>,
    topic: Arc<Topic>,
    window: Arc<Semaphore>,
    window_size: u32,
}

/// A part of a batch on its way to the disk.
struct SentChunk {
    ids: Vec<Uuid>,
    stored: oneshot::Receiver<()>,
}

impl EmbeddedPublisher {
    pub(super) fn new(client: Arc<Client>, topic: Arc<Topic>, window: usize) -> Self {
        let window_size = u32::try_from(window.clamp(1, 1 << 20)).unwrap_or(1);
        Self {
            client,
            topic,
            window: Arc::new(Semaphore::new(window_size as usize)),
            window_size,
        }
    }

    /// Takes room for one message, without waiting if it can.
    fn try_reserve(&self, charged: u32) -> Option<OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.window).try_acquire_owned().ok()?;
        self.topic
            .free_bytes
            .try_acquire_many(charged)
            .ok()?
            .forget();
        Some(slot)
    }

    async fn reserve(&self, charged: u32) -> Result<OwnedSemaphorePermit, BusError> {
        let wait = async {
            let slot = Arc::clone(&self.window).acquire_owned().await;
            let room = self.topic.free_bytes.acquire_many(charged).await;
            match (slot, room) {
                (Ok(slot), Ok(room)) => {
                    room.forget();
                    Ok(slot)
                }
                _ => Err(BusError::Closed),
            }
        };
        tokio::select! {
            biased;
            () = self.client.closed.cancelled() => Err(BusError::Closed),
            room = wait => room,
        }
    }

    fn send(&self, chunk: &mut Chunk) -> Option<SentChunk> {
        let items = std::mem::take(&mut chunk.items);
        let slots = std::mem::take(&mut chunk.slots);
        if items.is_empty() {
            return None;
        }
        let Some(store) = &self.client.broker.store else {
            self.topic.append(items);
            return None;
        };
        let ids = items.iter().map(|(message, _)| message.id).collect();
        let stored = store.append(&self.topic, items, slots);
        Some(SentChunk { ids, stored })
    }
}

/// Messages that have their room and are not sent yet.
#[derive(Default)]
struct Chunk {
    items: Vec<(Message, u32)>,
    slots: Vec<OwnedSemaphorePermit>,
}

#[async_trait]
impl Publisher for EmbeddedPublisher {
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Receipt, BusError> {
        self.client.check_open()?;
        if let Some(size) = messages
            .iter()
            .map(|m| m.body.len())
            .find(|s| *s > BODY_MAX)
        {
            return Err(BusError::TooLarge {
                size,
                max: BODY_MAX,
            });
        }
        let (mut chunk, mut sent, mut left) = (Chunk::default(), Vec::new(), Vec::new());
        let mut messages = messages.into_iter();
        for message in messages.by_ref() {
            let charged = self.topic.charge(&message);
            let slot = if let Some(slot) = self.try_reserve(charged) {
                Ok(slot)
            } else {
                sent.extend(self.send(&mut chunk));
                self.reserve(charged).await
            };
            if let Ok(slot) = slot {
                chunk.items.push((message, charged));
                chunk.slots.push(slot);
            } else {
                left.push(message.id);
                break;
            }
        }
        left.extend(messages.map(|m| m.id));
        sent.extend(self.send(&mut chunk));
        Ok(Receipt::new(confirm(sent, left)))
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        let all = self.window.acquire_many(self.window_size);
        tokio::select! {
            // First: what is confirmed stays so when the bus is closed.
            biased;
            all = all => all.map(drop).map_err(|_| BusError::Closed),
            () = self.client.closed.cancelled() => Err(BusError::Closed),
        }
    }
}

async fn confirm(sent: Vec<SentChunk>, left: Vec<Uuid>) -> Result<(), Unconfirmed> {
    let mut ids = Vec::new();
    for chunk in sent {
        if chunk.stored.await.is_err() {
            ids.extend(chunk.ids);
        }
    }
    ids.extend(left);
    if ids.is_empty() {
        return Ok(());
    }
    Err(Unconfirmed { ids })
}
