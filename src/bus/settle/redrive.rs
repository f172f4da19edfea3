//! Sending the dead letters of a group back to it.
//!
//! Promise: a letter leaves the dead letters only after its successor is confirmed. It goes back under a new id, so
//! that a broker that drops repeated ids keeps it, and is marked for its group alone.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    super::{
        BusError, Delivery, Message, Publisher,
        backend::{Backend, Disposition, Subscription},
        ids::derived_id,
        topology::{DEAD_GROUP, dead_topic},
    },
    dead,
};

const BATCH: usize = 64;
/// How long to wait for letters that another redrive may be working on.
const IDLE: Duration = Duration::from_secs(2);

/// Sends back what was dead when it began; returns how many.
pub(super) async fn redrive(
    backend: &dyn Backend,
    topic: &str,
    group: &str,
) -> Result<u64, BusError> {
    let letters = dead_topic(topic, group);
    let total = backend.depth(&letters, DEAD_GROUP).await?.ready;
    if total == 0 {
        return Ok(0);
    }
    let mut subscription = backend.subscribe(&letters, DEAD_GROUP, BATCH).await?;
    let mut publisher = backend.publisher(topic).await?;
    let mut done = 0;
    while done < total {
        let left = usize::try_from(total - done).unwrap_or(BATCH);
        let Ok(batch) = timeout(IDLE, subscription.recv(left.min(BATCH), Duration::ZERO)).await
        else {
            break;
        };
        done += send_back(&mut *publisher, &mut *subscription, group, batch?).await?;
    }
    subscription.stop().await?;
    subscription.close().await?;
    publisher.close().await?;
    Ok(done)
}

async fn send_back(
    publisher: &mut dyn Publisher,
    subscription: &mut dyn Subscription,
    group: &str,
    batch: Vec<Delivery>,
) -> Result<u64, BusError> {
    let count = batch.len() as u64;
    let (messages, acks): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|d| (redriven(d.message, group), (d.token, Disposition::Ack)))
        .unzip();
    let receipt = publisher.publish(messages).await?;
    receipt.await.map_err(|_| BusError::Closed)?;
    subscription.settle(acks).await?;
    Ok(count)
}

/// The letter as a message of its group. The time of its first death stays, in case it is dead-lettered again.
fn redriven(letter: Message, group: &str) -> Message {
    let id = derived_id(letter.id, "redrive", &letter.body);
    let mut headers = letter.headers;
    for name in [
        dead::REASON,
        dead::ATTEMPTS,
        dead::TOPIC,
        dead::GROUP,
        dead::ORIGINAL_ID,
    ] {
        headers.remove(name);
    }
    headers.insert(dead::ONLY_GROUP.to_owned(), group.to_owned());
    Message {
        id,
        headers,
        ..letter
    }
}
