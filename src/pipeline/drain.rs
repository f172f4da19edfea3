//! Stops the services along the flow of data, each once nothing is left for it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::Instant;

use super::{role::Role, state::Pipeline};
use crate::{
    bus::{Link, Topic, Topology},
    message::{Body, Features, Prediction, Truth},
};

/// How long draining may take before the rest is left to the bus.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Time between two looks at the depth of the bus while it empties.
const DEPTH_POLL: Duration = Duration::from_millis(10);

impl Pipeline {
    /// Stops the services along the flow of data, each once nothing is left for it.
    pub(super) async fn drain(&mut self) -> Result<()> {
        let drained = tokio::time::timeout(DRAIN_MAX, self.drain_in_order()).await;
        let drained = drained.unwrap_or_else(|_| {
            self.service_tasks.abort();
            Err(self.not_drained())
        });
        let closed = match &self.bus {
            Some(bus) => bus.close().await.map_err(Into::into),
            None => Ok(()),
        };
        if let Some(page) = self.page.take() {
            page.stop.cancel();
            page.serving.await.context("the page failed unexpectedly")?;
        }
        drained.and(closed)
    }

    fn not_drained(&self) -> anyhow::Error {
        let link = self.bus.as_ref().map(|bus| bus.link().borrow().clone());
        match link {
            Some(Link::Down { reason, .. }) => anyhow!(
                "could not drain within {DRAIN_MAX:?}: the broker is unreachable ({reason}); messages that it has not confirmed are not on it"
            ),
            _ => anyhow!("could not drain within {DRAIN_MAX:?}; the bus keeps the rest"),
        }
    }

    async fn drain_in_order(&mut self) -> Result<()> {
        if let Some(page) = &self.page {
            page.draining.cancel();
            page.flushed.cancelled().await;
        }
        let mut outcome = Ok(());
        for role in Role::ALL {
            if !self.failed {
                outcome = outcome.and(self.wait_until_consumed_by(role).await);
            }
            let stopped = self.service_tasks.stop(role).await;
            outcome = outcome.and(stopped);
        }
        outcome
    }

    /// Waits until this role has nothing left to consume. On a bus that ends with this process, what is left would be
    /// lost, or found again only by the next run.
    async fn wait_until_consumed_by(&mut self, role: Role) -> Result<()> {
        let Some(bus) = &self.bus else { return Ok(()) };
        let capabilities = bus.capabilities();
        if capabilities.outlives_process || !self.service_tasks.has(role) {
            return Ok(());
        }
        let consumed = |topic: &Topic| match role {
            Role::Predictor => topic.name == Features::TOPIC,
            Role::Metric => topic.name == Truth::TOPIC || topic.name == Prediction::TOPIC,
            Role::Features | Role::Plot => false,
        };
        let topics = self
            .topology
            .topics
            .iter()
            .filter(|topic| consumed(topic))
            .cloned()
            .collect();
        let consumed = Topology { topics };
        let deadline = Instant::now() + DRAIN_MAX / 2;
        loop {
            let left = self.waiting(&consumed).await?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                tracing::warn!(
                    left,
                    role = role.name(),
                    "stopping before all messages were processed"
                );
                let lost =
                    anyhow!("{left} messages were left on a bus that ends with this process");
                return if capabilities.durable {
                    Ok(())
                } else {
                    Err(lost)
                };
            }
            tokio::select! {
                ended = self.service_tasks.any_ended() => return self.ended_early(ended),
                () = tokio::time::sleep(DEPTH_POLL) => {}
            }
        }
    }
}
