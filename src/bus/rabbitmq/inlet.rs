//! Receives from one queue, on one channel with a consumer and a prefetch.
//!
//! # Why there may be several consumers
//! AMQP cannot delay a retry, so the intake keeps such a message unsettled until it is due. Until then it takes up a
//! place in the consumer's prefetch. If a whole window of retries waits, the prefetch is used up and the broker sends
//! nothing more, though other messages could be processed meanwhile.
//!
//! RabbitMQ fixes a consumer's prefetch when the consumer starts. So [`Inlet::update_credit`] starts another consumer
//! on the same channel whenever all credit is used and some of it by waiting retries. Its prefetch makes the sum as
//! large as the window and the retries together, up to a bound, after which new messages do have to wait. When no retry
//! waits any more, all consumers but the first are cancelled. What they had received stays unsettled on the channel and
//! is settled as usual.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use lapin::{
    Acker, Channel, Connection,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
        BasicQosOptions, BasicRejectOptions,
    },
    types::{FieldTable, ShortString},
};

use super::{ids::RandomIds, topology, wire};
use crate::bus::{
    backend::Disposition,
    remote::{BrokerDelivery, Event, Inlet, SessionError, SessionErrorKind, within},
};

/// Quorum queues take no larger prefetch.
const PREFETCH_MAX: usize = 2_000;

/// Retries that may wait before others have to, as a multiple of the window; a small window may have some more.
const DELAYED_PER_WINDOW: usize = 4;
const DELAYED_MIN: usize = 64;

/// See [`Inlet`].
pub(super) struct RabbitInlet {
    channel: Channel,
    queue: String,
    window: usize,
    events: SelectAll<BoxStream<'static, ConsumerEvent>>,
    /// Tags of the consumers that are not cancelled. The first one stays until the inlet is stopped.
    consumers: Vec<ShortString>,
    /// The sum of their prefetches: how many deliveries the broker may leave unsettled.
    prefetch_total: usize,
    unsettled: BTreeMap<u64, Acker>,
    ids: RandomIds,
    stopped: bool,
}

impl RabbitInlet {
    pub(super) async fn open(
        connection: &Connection,
        queue: &str,
        window: usize,
        ids: RandomIds,
    ) -> Result<Self, SessionError> {
        let channel = connection
            .create_channel()
            .await
            .map_err(|error| SessionError::failed("opening a channel", error))?;
        let window = window.min(PREFETCH_MAX);
        let mut inlet = Self {
            channel,
            queue: queue.to_owned(),
            window,
            events: SelectAll::new(),
            consumers: Vec::new(),
            prefetch_total: 0,
            unsettled: BTreeMap::new(),
            ids,
            stopped: false,
        };
        inlet.consume(window).await?;
        Ok(inlet)
    }

    /// Starts a consumer with that prefetch.
    async fn consume(&mut self, prefetch: usize) -> Result<(), SessionError> {
        let count = u16::try_from(prefetch).unwrap_or(u16::MAX);
        // Without a prefetch before it, a consumer is sent the whole queue.
        let limited = self.channel.basic_qos(count, BasicQosOptions::default());
        limited
            .await
            .map_err(|error| SessionError::failed("setting the prefetch", error))?;
        let asked = self.channel.basic_consume(
            topology::short(&self.queue)?,
            // The broker chooses a new tag: on old quorum queues a tag that is used again could leave messages stuck.
            ShortString::default(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = asked
            .await
            .map_err(|error| SessionError::failed("starting a consumer", error))?;
        let tag = consumer.tag();
        let end = stream::once({
            let tag = tag.clone();
            async move { ConsumerEvent::Ended(tag) }
        });
        self.events.push(
            consumer
                .map(|delivery| ConsumerEvent::Delivery(Box::new(delivery)))
                .chain(end)
                .boxed(),
        );
        self.consumers.push(tag);
        self.prefetch_total += prefetch;
        Ok(())
    }

    /// Cancels all consumers from that one on.
    async fn cancel_from(&mut self, first: usize) -> Result<(), SessionError> {
        for tag in self.consumers.split_off(first) {
            let cancelled = self
                .channel
                .basic_cancel(tag, BasicCancelOptions::default());
            within("the cancellation of a consumer", cancelled).await?;
        }
        Ok(())
    }

    /// Acknowledges as many tags as possible by one frame: AMQP's `multiple` covers every tag up to the given one, so
    /// it can be used up to the first tag that stays unsettled. The others are acknowledged one by one.
    async fn ack(&mut self, tags: &[u64]) -> Result<(), SessionError> {
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        let contiguous = tags
            .iter()
            .zip(self.unsettled.keys())
            .take_while(|(tag, unsettled)| tag == unsettled)
            .count();
        for (index, tag) in tags.iter().enumerate() {
            let Some(acker) = self.unsettled.remove(tag) else {
                continue;
            };
            if index + 1 < contiguous {
                continue;
            }
            let multiple = index + 1 == contiguous;
            require_sent(acker.ack(BasicAckOptions { multiple }).await)?;
        }
        Ok(())
    }
}

/// What comes from a consumer of the channel.
enum ConsumerEvent {
    Delivery(Box<lapin::Result<Delivery>>),
    Ended(ShortString),
}

#[async_trait]
impl Inlet for RabbitInlet {
    async fn next(&mut self) -> Result<Event, SessionError> {
        match self.events.next().await {
            Some(ConsumerEvent::Delivery(delivery)) => {
                let delivery =
                    (*delivery).map_err(|error| SessionError::failed("the consumer", error))?;
                let tag = delivery.delivery_tag;
                self.unsettled.insert(tag, delivery.acker.clone());
                let ids = &mut self.ids;
                let (message, attempt) = wire::from_delivery(delivery, || ids.next());
                Ok(Event::Delivery(BrokerDelivery {
                    tag,
                    message,
                    attempt,
                }))
            }
            Some(ConsumerEvent::Ended(tag)) if self.consumers.contains(&tag) => {
                // As when the queue is deleted.
                Err(SessionError::new(
                    SessionErrorKind::Ended,
                    format!("the consumer of queue `{}`", self.queue),
                ))
            }
            Some(ConsumerEvent::Ended(_)) => Ok(Event::Wake),
            None => Ok(Event::End),
        }
    }

    async fn update_credit(
        &mut self,
        unsettled: usize,
        delayed: usize,
    ) -> Result<(), SessionError> {
        if self.stopped {
            return Ok(());
        }
        let delayed_max = (self.window * DELAYED_PER_WINDOW).max(DELAYED_MIN);
        if delayed == 0 && self.prefetch_total > self.window {
            self.prefetch_total = self.window;
            within("the cancellation of a consumer", self.cancel_from(1)).await?;
        } else if delayed > 0
            && unsettled >= self.prefetch_total
            && self.prefetch_total < self.window + delayed_max
        {
            let more = (self.window + delayed)
                .saturating_sub(self.prefetch_total)
                .max(1);
            within("starting a consumer", self.consume(more.min(PREFETCH_MAX))).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, dispositions: &[(u64, Disposition)]) -> Result<(), SessionError> {
        let acks = dispositions
            .iter()
            .filter(|(_, disposition)| *disposition == Disposition::Ack)
            .map(|(tag, _)| *tag)
            .collect::<Vec<_>>();
        within("the acknowledgement", self.ack(&acks)).await?;
        for (tag, disposition) in dispositions {
            let Some(acker) = self.unsettled.remove(tag) else {
                continue;
            };
            let returned = async {
                match disposition {
                    Disposition::Ack => Ok(true),
                    Disposition::Retry(_) => {
                        acker.reject(BasicRejectOptions { requeue: true }).await
                    }
                    Disposition::Release => {
                        acker
                            .nack(BasicNackOptions {
                                multiple: false,
                                requeue: true,
                            })
                            .await
                    }
                }
            };
            require_sent(Ok(within("the return of a delivery", returned).await?))?;
        }
        Ok(())
    }

    fn delays_retries(&self) -> bool {
        false
    }

    async fn extend_leases(&mut self) -> Result<(), SessionError> {
        // A delivery has no lease here; it comes back when its channel dies.
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), SessionError> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        self.cancel_from(0).await
    }

    async fn flush(&mut self) -> Result<(), SessionError> {
        // The broker answers after it has read every ack before the question.
        let asked = self.channel.basic_qos(1, BasicQosOptions::default());
        asked
            .await
            .map_err(|error| SessionError::failed("the flush of acknowledgements", error))
    }

    async fn close(self: Box<Self>) {
        // A lost connection has no channels.
        drop(within("closing a channel", self.channel.close(200, "done".into())).await);
    }
}

/// `false` from lapin means that the channel is gone and nothing was sent.
fn require_sent(outcome: lapin::Result<bool>) -> Result<(), SessionError> {
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(SessionError::new(SessionErrorKind::Lost, "the channel")),
        Err(error) => Err(SessionError::failed("the settlement", error)),
    }
}
