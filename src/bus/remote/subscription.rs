//! The consumer's end of a subscription; the work is done by its [`Intake`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{
    delivery_counts::{DeliveryCounts, SubscriptionCount},
    intake::{Command, Intake, Membership},
    link::Link,
    queue::DeliveryQueue,
};
use crate::bus::{
    BusError, Delivery, Settled, Token,
    backend::{Disposition, Subscription},
};

/// Settle calls that may wait for the intake; the caller waits for each, so few are enough.
const COMMANDS_MAX: usize = 4;

/// One member of a group, over any number of sessions.
pub(super) struct RemoteSubscription {
    queue: Arc<DeliveryQueue>,
    commands: mpsc::Sender<Command>,
}

impl RemoteSubscription {
    pub(super) fn open(link: Link, membership: Membership, counts: Arc<DeliveryCounts>) -> Self {
        let handed_out = SubscriptionCount::handed_out(Arc::clone(&counts));
        let queue = Arc::new(DeliveryQueue::new(membership.window, handed_out));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let unsettled_count = SubscriptionCount::unsettled(counts);
        let intake = Intake::new(
            link,
            membership,
            unsettled_count,
            Arc::clone(&queue),
            receiver,
        );
        tokio::spawn(intake.run());
        Self { queue, commands }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, BusError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| BusError::Closed)?;
        answer.await.map_err(|_| BusError::Closed)
    }
}

#[async_trait]
impl Subscription for RemoteSubscription {
    async fn recv(&mut self, max: usize, linger: Duration) -> Result<Vec<Delivery>, BusError> {
        self.queue.take(max, linger).await
    }

    async fn settle(
        &mut self,
        dispositions: Vec<(Token, Disposition)>,
    ) -> Result<Settled, BusError> {
        self.ask(|reply| Command::Settle(dispositions, reply)).await
    }

    async fn stop(&mut self) -> Result<(), BusError> {
        self.ask(Command::Stop).await
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        self.ask(Command::Close).await
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            ConnectError, Dial, Session, SessionError, SessionErrorKind, backoff::Backoff,
            delivery_counts::DeliveryCountsByGroup,
        },
        *,
    };

    struct UnreachableBroker;

    #[async_trait]
    impl Dial for UnreachableBroker {
        async fn dial(&self) -> Result<Box<dyn Session>, ConnectError> {
            Err(SessionError::new(SessionErrorKind::Lost, "the connection").into())
        }
    }

    #[tokio::test]
    async fn a_command_sent_while_the_intake_ends_is_answered() {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1), 1);
        let link = Link::start(UnreachableBroker, backoff).await.unwrap();
        let membership = Membership {
            topic: "t".to_owned(),
            group: "g".to_owned(),
            window: 1,
            lease: Duration::from_secs(1),
        };
        let counts = DeliveryCountsByGroup::default().of("t", "g");
        let subscription = RemoteSubscription::open(link.clone(), membership, counts);
        let on_its_way = subscription.commands.reserve().await.unwrap();
        link.close().await;
        subscription.commands.closed().await;
        let (reply, answer) = oneshot::channel();
        on_its_way.send(Command::Close(reply));
        let answered = tokio::time::timeout(Duration::from_secs(1), answer).await;
        assert!(answered.is_ok(), "it would wait for ever");
    }
}
