//! One connection to a NATS server.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{Context, message::PublishMessage},
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    error::{forbidden, publish_answer},
    inlet::NatsInlet,
    names::Names,
    sweeper::Sweeper,
    topology::{Declarer, server_run},
    wire,
};
use crate::bus::{
    BrokerInfo, BusError, Message, Topology,
    remote::{
        Answer, ConnectError, GroupStats, Inlet, Outlet, Session, SessionError, SessionErrorKind,
    },
};

/// See [`Session`].
pub(super) struct NatsSession {
    client: Client,
    context: Context,
    lost: watch::Sender<Option<SessionError>>,
    names: Names,
    lease: Duration,
}

impl NatsSession {
    pub(super) fn new(
        client: Client,
        lost: watch::Sender<Option<SessionError>>,
        names: Names,
        lease: Duration,
    ) -> Self {
        Self {
            context: async_nats::jetstream::new(client.clone()),
            client,
            lost,
            names,
            lease,
        }
    }

    fn consumer(&self, group: &str) -> String {
        self.names
            .consumer(group, server_run(&self.client).as_deref())
    }

    fn declarer(&self) -> Declarer<'_> {
        Declarer {
            context: &self.context,
            names: &self.names,
            lease: self.lease,
            jetstream: self.client.server_info().jetstream,
            run: server_run(&self.client),
        }
    }

    async fn require_consumer(&self, topic: &str, group: &str) -> Result<GroupStats, SessionError> {
        let stream = self.names.stream(topic);
        let name = self.consumer(group);
        match self.declarer().consumer_info(&stream, &name).await {
            Ok(Some(info)) => {
                let ack_pending = u64::try_from(info.num_ack_pending).unwrap_or(0);
                Ok(GroupStats::Unacked {
                    pending: info.num_pending,
                    ack_pending,
                })
            }
            Ok(None) => Err(SessionError::new(
                SessionErrorKind::Missing,
                format!("consumer `{name}` of stream `{stream}`"),
            )),
            Err(ConnectError::Transient(error)) => Err(error),
            Err(ConnectError::Permanent(error)) => Err(SessionError::failed(
                "the consumer query",
                BusError::from(error),
            )),
        }
    }
}

#[async_trait]
impl Session for NatsSession {
    async fn lost(&self) -> SessionError {
        let mut lost = self.lost.subscribe();
        let error = match lost.wait_for(Option::is_some).await {
            Ok(error) => error.clone(),
            Err(_) => None,
        };
        error.unwrap_or_else(|| SessionError::new(SessionErrorKind::Lost, "the connection"))
    }

    async fn declare(&self, topology: &Topology) -> Result<(), ConnectError> {
        let declared = self.declarer().declare(topology).await;
        let reported = self.lost.borrow().clone();
        match (declared, reported) {
            (Err(ConnectError::Transient(_)), Some(reported))
                if reported.kind() == SessionErrorKind::Forbidden =>
            {
                Err(forbidden(reported))
            }
            (declared, _) => declared,
        }
    }

    async fn check_topology(&self, topology: &Topology) -> Result<(), SessionError> {
        for topic in &topology.topics {
            for group in &topic.groups {
                self.require_consumer(&topic.name, group).await?;
            }
        }
        Ok(())
    }

    async fn outlet(&self, topic: &str, _routed: bool) -> Result<Box<dyn Outlet>, SessionError> {
        Ok(Box::new(NatsOutlet {
            context: self.context.clone(),
            subject: self.names.subject(topic),
        }))
    }

    async fn inlet(
        &self,
        topic: &str,
        group: &str,
        window: usize,
    ) -> Result<Box<dyn Inlet>, SessionError> {
        self.require_consumer(topic, group).await?;
        let stream = self.names.stream(topic);
        let consumer = self.consumer(group);
        let client = self.client.clone();
        let sweeper = Sweeper::start(self.context.clone(), stream.clone(), server_run(&client));
        let inlet = NatsInlet::open(client, &stream, &consumer, window, sweeper);
        Ok(Box::new(inlet.await?))
    }

    async fn group_stats(&self, topic: &str, group: &str) -> Result<GroupStats, SessionError> {
        self.require_consumer(topic, group).await
    }

    fn broker(&self) -> BrokerInfo {
        BrokerInfo {
            name: "NATS".to_owned(),
            version: self.client.server_info().version,
        }
    }

    async fn close(&self) {
        // A connection that is lost has nothing left to flush.
        drop(self.client.flush().await);
    }
}

struct NatsOutlet {
    context: Context,
    subject: String,
}

#[async_trait]
impl Outlet for NatsOutlet {
    async fn send(
        &mut self,
        message: &Message,
    ) -> Result<BoxFuture<'static, Answer>, SessionError> {
        let publish = PublishMessage::build()
            .payload(message.body.clone())
            .headers(wire::to_headers(message));
        let sent = self
            .context
            .send_publish(self.subject.clone(), publish)
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Err(SessionError::failed("publishing", error)),
        };
        Ok(Box::pin(async move {
            match answer.await {
                Ok(_) => Answer::Stored,
                Err(error) => publish_answer(error),
            }
        }))
    }
}
