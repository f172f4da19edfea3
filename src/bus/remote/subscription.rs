//! The consumer's end of a subscription; the work is done by its [`Intake`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{
    gauge::{Gauge, Part},
    intake::{Command, Intake},
    link::Link,
    shelf::Shelf,
};
use crate::bus::{
    BusError, Delivery, Settled, Token,
    backend::{Disposition, Subscription},
};

/// Settle calls that may wait for the intake; the caller waits for each, so few are enough.
const COMMANDS_MAX: usize = 4;

/// One member of a group, for as long as it lives, over any number of sessions.
pub(super) struct RemoteSubscription {
    shelf: Arc<Shelf>,
    commands: mpsc::Sender<Command>,
}

impl RemoteSubscription {
    pub(super) fn open(
        link: Link,
        topic: &str,
        group: &str,
        window: usize,
        lease: Duration,
        gauge: Arc<Gauge>,
    ) -> Self {
        let shelf = Arc::new(Shelf::new(window, Part::out(Arc::clone(&gauge))));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let intake = Intake::new(
            link,
            topic,
            group,
            window,
            lease,
            Part::held(gauge),
            Arc::clone(&shelf),
            receiver,
        );
        tokio::spawn(intake.run());
        Self { shelf, commands }
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
        self.shelf.take(max, linger).await
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
