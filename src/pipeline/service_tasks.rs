//! The running services: starts each, stops each, and says which has ended and how.

use std::future::Future;

use anyhow::{Context, Result};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::role::Role;
use crate::dashboard::Service;

/// The tasks of the services.
#[derive(Default)]
pub(super) struct ServiceTasks {
    tasks: JoinSet<Result<u64>>,
    members: Vec<Member>,
    /// For those who watch; changed whenever a service starts or ends.
    states: watch::Sender<Vec<Service>>,
}

struct Member {
    role: Role,
    task: Id,
    stop: CancellationToken,
    ended: bool,
    /// How it ended, until somebody takes it.
    outcome: Option<Result<u64>>,
}

impl ServiceTasks {
    /// Starts a service. Its result is the number of rows that it handled.
    pub(super) fn start<F>(&mut self, role: Role, service: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<u64>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = self.tasks.spawn(service(stop.clone())).id();
        self.note(role, "running", String::new());
        self.members.push(Member {
            role,
            task,
            stop,
            ended: false,
            outcome: None,
        });
    }

    /// Every service with its state, kept up to date.
    pub(super) fn watch(&self) -> watch::Receiver<Vec<Service>> {
        self.states.subscribe()
    }

    fn note(&self, role: Role, state: &str, detail: String) {
        self.states.send_modify(|services| {
            services.retain(|service| service.name != role.name());
            services.push(Service {
                name: role.name().to_owned(),
                state: state.to_owned(),
                detail,
            });
        });
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.members.iter().any(|member| member.role == role)
    }

    /// Waits until some service ends and returns which; waits for ever when none is left. Cancel safe.
    pub(super) async fn any_ended(&mut self) -> Role {
        let (task, outcome) = match self.tasks.join_next_with_id().await {
            Some(Ok((task, outcome))) => (task, outcome),
            Some(Err(error)) => (
                error.id(),
                Err(anyhow::Error::new(error).context("its task ended abnormally")),
            ),
            None => std::future::pending().await,
        };
        let member = self.members.iter_mut().find(|member| member.task == task);
        let Some(member) = member else {
            return std::future::pending().await;
        };
        let (state, detail) = match &outcome {
            Ok(_) => ("done", String::new()),
            Err(error) => ("failed", format!("{error:#}")),
        };
        member.ended = true;
        member.outcome = Some(outcome);
        let role = member.role;
        self.note(role, state, detail);
        role
    }

    /// Takes the outcome of a service that has ended.
    pub(super) fn outcome(&mut self, role: Role) -> Result<u64> {
        let member = self.members.iter_mut().find(|member| member.role == role);
        let outcome = member
            .and_then(|member| member.outcome.take())
            .unwrap_or(Ok(0));
        outcome.with_context(|| format!("{} failed", role.name()))
    }

    /// Stops a service and waits until it has ended.
    pub(super) async fn stop(&mut self, role: Role) -> Result<()> {
        if let Some(member) = self.members.iter().find(|member| member.role == role) {
            member.stop.cancel();
        }
        while self
            .members
            .iter()
            .any(|member| member.role == role && !member.ended)
        {
            self.any_ended().await;
        }
        self.outcome(role).map(drop)
    }

    /// Ends every task at once; unsettled messages go back to the bus.
    pub(super) fn abort(&mut self) {
        self.tasks.abort_all();
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn a_stopped_service_is_waited_for_and_its_failure_is_reported_once() {
        let mut service_tasks = ServiceTasks::default();
        service_tasks.start(Role::Metric, |stop| async move {
            stop.cancelled().await;
            Err(anyhow!("disk full"))
        });
        let failure = service_tasks.stop(Role::Metric).await.unwrap_err();
        assert_eq!(format!("{failure:#}"), "metric failed: disk full");
        assert!(service_tasks.stop(Role::Metric).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_service() {
        let mut service_tasks = ServiceTasks::default();
        service_tasks.start(Role::Plot, |_| async { panic!("on purpose") });
        service_tasks.start(Role::Metric, |stop| async move {
            stop.cancelled().await;
            Ok(1)
        });
        assert_eq!(service_tasks.any_ended().await, Role::Plot);
        assert!(
            format!("{:#}", service_tasks.outcome(Role::Plot).unwrap_err())
                .starts_with("plot failed: its task ended abnormally")
        );
        assert!(service_tasks.stop(Role::Metric).await.is_ok());
    }
}
