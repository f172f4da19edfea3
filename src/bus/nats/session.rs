//! One connection to a NATS server.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        Context,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    dial::with_source,
    inlet::NatsInlet,
    names::Names,
    sweeper::Sweeper,
    topology::{Declarer, run_of},
    wire,
};
use crate::bus::{
    BrokerInfo, Message, Topology,
    remote::{Answer, ConnectError, GroupStats, Inlet, Outlet, Session},
};

/// See [`Session`].
pub(super) struct NatsSession {
    client: Client,
    context: Context,
    lost: watch::Sender<Option<String>>,
    names: Names,
    lease: Duration,
}

impl NatsSession {
    pub(super) fn new(
        client: Client,
        lost: watch::Sender<Option<String>>,
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
        self.names.consumer(group, run_of(&self.client).as_deref())
    }

    fn declarer(&self) -> Declarer<'_> {
        Declarer {
            context: &self.context,
            names: &self.names,
            lease: self.lease,
            jetstream: self.client.server_info().jetstream,
            run: run_of(&self.client),
        }
    }

    async fn require_consumer(&self, topic: &str, group: &str) -> Result<GroupStats, String> {
        let stream = self.names.stream(topic);
        let name = self.consumer(group);
        match self.declarer().consumer_info(&stream, &name).await {
            Ok(Some(info)) => {
                let delivered = u64::try_from(info.num_ack_pending).unwrap_or(0);
                Ok(GroupStats::Unacked {
                    fresh: info.num_pending,
                    delivered,
                })
            }
            Ok(None) => Err(format!("consumer `{name}` of stream `{stream}` is gone")),
            Err(ConnectError::Transient(reason)) => Err(reason),
            Err(ConnectError::Permanent(lasting)) => {
                Err(crate::bus::BusError::from(lasting).to_string())
            }
        }
    }
}

#[async_trait]
impl Session for NatsSession {
    async fn lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the connection is gone".to_owned(),
        }
    }

    async fn declare(&self, topology: &Topology) -> Result<(), ConnectError> {
        let declared = self.declarer().declare(topology).await;
        let told = self.lost.borrow().clone();
        match (declared, told) {
            // A forbidden request is never answered; the server's word about it came as an event.
            (Err(ConnectError::Transient(_)), Some(told))
                if told.to_lowercase().contains("permissions violation") =>
            {
                Err(ConnectError::refused(
                    told,
                    "allow this user `$JS.API.>`, `$JS.ACK.>`, `_INBOX.>` and the topics' subjects",
                ))
            }
            (declared, _) => declared,
        }
    }

    async fn patrol(&self, topology: &Topology) -> Result<(), String> {
        for topic in &topology.topics {
            for group in &topic.groups {
                self.require_consumer(&topic.name, group).await?;
            }
        }
        Ok(())
    }

    async fn outlet(&self, topic: &str, _routed: bool) -> Result<Box<dyn Outlet>, String> {
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
    ) -> Result<Box<dyn Inlet>, String> {
        self.require_consumer(topic, group).await?;
        let stream = self.names.stream(topic);
        let consumer = self.consumer(group);
        let client = self.client.clone();
        let sweeper = Sweeper::start(self.context.clone(), stream.clone(), run_of(&client));
        let inlet = NatsInlet::open(client, &stream, &consumer, window, sweeper);
        Ok(Box::new(inlet.await?))
    }

    async fn group_stats(&self, topic: &str, group: &str) -> Result<GroupStats, String> {
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
    async fn send(&mut self, message: &Message) -> Result<BoxFuture<'static, Answer>, String> {
        let publish = PublishMessage::build()
            .payload(message.body.clone())
            .headers(wire::to_headers(message));
        let sent = self
            .context
            .send_publish(self.subject.clone(), publish)
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Err(with_source(&error)),
        };
        Ok(Box::pin(async move {
            match answer.await {
                Ok(_) => Answer::Stored,
                Err(error) => unstored(&error),
            }
        }))
    }
}

fn unstored(error: &PublishError) -> Answer {
    let reason = with_source(error);
    match error.kind() {
        PublishErrorKind::TimedOut => Answer::Unheard,
        // The broker answered: no room, no storage, not now. Asking again later loses nothing.
        PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => Answer::Full(reason),
        _ => Answer::Broken(reason),
    }
}
