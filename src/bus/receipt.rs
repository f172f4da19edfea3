//! The promise that messages are stored, and a queue of such promises for a publisher of several batches at a time.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, IntoFuture, pending},
    pin::Pin,
};

use uuid::Uuid;

/// Resolves once every message of a publish call is stored for every declared group.
///
/// A receipt that was not awaited promises nothing.
#[must_use = "a message is not stored until its receipt resolves"]
pub struct Receipt(Pin<Box<dyn Future<Output = Result<(), Unconfirmed>> + Send>>);

impl Receipt {
    /// Wraps the backend's own future.
    pub fn new(confirmed: impl Future<Output = Result<(), Unconfirmed>> + Send + 'static) -> Self {
        Self(Box::pin(confirmed))
    }
}

impl IntoFuture for Receipt {
    type Output = Result<(), Unconfirmed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

/// Messages that may or may not have been stored: the bus was closed before the broker confirmed them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the messages were not confirmed before the bus closed", ids.len())]
pub struct Unconfirmed {
    /// Ids of the messages without a confirmation.
    pub ids: Vec<Uuid>,
}

/// Receipts that are awaited in the order in which they came, each with what depends on it.
#[derive(Debug)]
pub struct Receipts<T>(VecDeque<(Receipt, T)>);

impl<T> Receipts<T> {
    /// How many are awaited.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is awaited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Awaits one more.
    pub fn push(&mut self, receipt: Receipt, dependent: T) {
        self.0.push_back((receipt, dependent));
    }

    /// What depended on the oldest, and how that ended; never, while none is awaited. Cancel safe.
    pub async fn oldest(&mut self) -> (T, Result<(), Unconfirmed>) {
        let confirmed = match self.0.front_mut() {
            Some((receipt, _)) => receipt.0.as_mut().await,
            None => pending().await,
        };
        match self.0.pop_front() {
            Some((_, dependent)) => (dependent, confirmed),
            None => pending().await,
        }
    }
}

impl<T> Default for Receipts<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn receipts_end_in_the_order_of_their_messages_whichever_is_confirmed_first() {
        let (first, of_first) = oneshot::channel();
        let mut receipts = Receipts::default();
        let lost = Unconfirmed { ids: Vec::new() };
        receipts.push(Receipt::new(async { of_first.await.map_err(|_| lost) }), 1);
        receipts.push(Receipt::new(async { Ok(()) }), 2);
        tokio::select! {
            biased;
            ended = receipts.oldest() => panic!("{ended:?} before it was confirmed"),
            () = tokio::task::yield_now() => {}
        }
        first.send(()).expect("awaited");
        assert_eq!(receipts.oldest().await, (1, Ok(())));
        assert_eq!(receipts.oldest().await, (2, Ok(())));
        assert!(receipts.is_empty());
    }
}
