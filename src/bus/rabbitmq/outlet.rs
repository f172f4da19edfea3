//! Sends to one exchange, on one channel in confirm mode.

use async_trait::async_trait;
use futures::future::BoxFuture;
use lapin::{
    Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};

use super::{topology, wire};
use crate::bus::{
    Message,
    remote::{Answer, Outlet, SessionError},
};

const PUBLISHING: &str = "publishing";

/// Why the broker did not store a message.
#[derive(Clone, Debug, thiserror::Error)]
enum Unstored {
    #[error("a queue of the topic has no room")]
    QueueFull,
    #[error("a message was returned ({0})")]
    Returned(String),
    #[error("the channel does not confirm")]
    Unconfirmed,
}

/// See [`Outlet`].
pub(super) struct RabbitOutlet {
    channel: Channel,
    exchange: ShortString,
    /// Whether a message that reaches no queue is an error. A topic without groups has no queue.
    mandatory: bool,
}

impl RabbitOutlet {
    pub(super) async fn open(
        connection: &Connection,
        exchange: &str,
        routed: bool,
    ) -> Result<Self, SessionError> {
        let channel = connection
            .create_channel()
            .await
            .map_err(|error| SessionError::failed("opening a channel", error))?;
        let confirming = channel
            .confirm_select(ConfirmSelectOptions::default())
            .await;
        confirming.map_err(|error| SessionError::failed("asking for confirms", error))?;
        Ok(Self {
            channel,
            exchange: topology::short(exchange)?,
            mandatory: routed,
        })
    }
}

#[async_trait]
impl Outlet for RabbitOutlet {
    async fn send(
        &mut self,
        message: &Message,
    ) -> Result<BoxFuture<'static, Answer>, SessionError> {
        let options = BasicPublishOptions {
            mandatory: self.mandatory,
            ..BasicPublishOptions::default()
        };
        let published = self.channel.basic_publish(
            self.exchange.clone(),
            ShortString::default(),
            options,
            &message.body,
            wire::to_properties(message),
        );
        let confirm = published
            .await
            .map_err(|error| SessionError::failed(PUBLISHING, error))?;
        Ok(Box::pin(async move { answer(confirm.await) }))
    }
}

fn answer(confirmation: lapin::Result<Confirmation>) -> Answer {
    match confirmation {
        Ok(Confirmation::Ack(None)) => Answer::Stored,
        // lapin attaches a returned message to some confirmation of the window, which need not be its own. So no
        // confirmation of this session can be trusted any more.
        Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
            let reply_text = returned.reply_text.to_string();
            Answer::Failed(SessionError::failed(
                PUBLISHING,
                Unstored::Returned(reply_text),
            ))
        }
        Ok(Confirmation::Nack(None)) => {
            Answer::Full(SessionError::failed(PUBLISHING, Unstored::QueueFull))
        }
        Ok(Confirmation::NotRequested) => {
            Answer::Failed(SessionError::failed(PUBLISHING, Unstored::Unconfirmed))
        }
        Err(error) => Answer::Failed(SessionError::failed(PUBLISHING, error)),
    }
}
