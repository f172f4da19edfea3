//! What a broker's client library offers, and no more.

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

/// One topic with one publisher and one consumer.
pub(crate) struct Lane {
    pub(crate) publisher: Box<dyn Publisher>,
    pub(crate) consumer: Box<dyn Consumer>,
}

#[async_trait]
pub(crate) trait Publisher: Send {
    /// Resolves when the message is sent, with a future that resolves when it is confirmed.
    async fn send(&mut self, body: Bytes) -> BoxFuture<'static, ()>;
}

#[async_trait]
pub(crate) trait Consumer: Send {
    /// The next delivery, and its number. Cancel safe.
    async fn next(&mut self) -> (u64, Bytes);

    /// Acknowledges everything up to this number.
    async fn ack(&mut self, number: u64);
}
