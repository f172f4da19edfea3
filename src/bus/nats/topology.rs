//! Streams and consumers: created once, and compared at every later declaration.
//!
//! A server that was killed remembers how far a consumer had delivered, but often not what was still unacknowledged,
//! and never delivers that again (seen after most `kill -9` of server 2.9.10 under load). So a consumer is used for one
//! run of its server only: its name ends with the server's id, which changes with each start. Whoever declares first in
//! a new run creates the new consumer, which begins with everything that is stored, and only then removes the old one;
//! others who declare at the same time do the same, with the same result. In a cluster, where other servers keep the
//! state and each has its own id, the name is the group's alone.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        Context,
        consumer::{self, AckPolicy, DeliverPolicy, IntoConsumerConfig, pull},
        response::Response,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use serde_json::json;
use tracing::{info, warn};

use super::{
    error::{declaration_error, request_error},
    names::Names,
};
use crate::bus::{
    Topic, Topology,
    remote::{ConnectError, PermanentError},
};

/// Unacknowledged messages of all members of a group together. Delayed retries count too.
const ACK_PENDING_MAX: i64 = 20_000;

/// How long the broker remembers message ids.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How long a stand-in consumer outlives a process that died before it could remove it.
const STAND_IN_MAX: Duration = Duration::from_secs(60);

const STREAM_NOT_FOUND: u64 = 10_059;
const CONSUMER_NOT_FOUND: u64 = 10_014;

/// The broker's answer; a stream has fewer consumers than fit on one page.
#[derive(serde::Deserialize)]
struct ConsumerNames {
    consumers: Option<Vec<String>>,
}

/// Identifies the current run of the server; none in a cluster, or when another server has the streams.
pub(super) fn server_run(client: &Client) -> Option<String> {
    let info = client.server_info();
    (info.jetstream && info.cluster.is_none()).then_some(info.server_id)
}

/// Declares on one connection.
pub(super) struct Declarer<'a> {
    pub(super) context: &'a Context,
    pub(super) names: &'a Names,
    pub(super) lease: Duration,
    /// Whether the server has JetStream, by its own greeting.
    pub(super) jetstream: bool,
    /// See [`server_run`].
    pub(super) run: Option<String>,
}

impl Declarer<'_> {
    pub(super) async fn declare(&self, topology: &Topology) -> Result<(), ConnectError> {
        for topic in &topology.topics {
            let info = self.ensure_stream(topic).await?;
            for group in &topic.groups {
                self.ensure_consumer(topic, group, &info).await?;
            }
            self.delete_old_consumers(topic, &info).await?;
        }
        Ok(())
    }

    /// Removes the consumers of earlier runs of the server.
    async fn delete_old_consumers(
        &self,
        topic: &Topic,
        stream: &stream::Info,
    ) -> Result<(), ConnectError> {
        let Some(run) = &self.run else { return Ok(()) };
        let groups: Vec<_> = topic
            .groups
            .iter()
            .map(|group| self.names.consumer(group, None))
            .collect();
        for name in self.consumer_names(&stream.config.name).await? {
            let (group, of) = name.split_once('@').unwrap_or((&name, ""));
            if of != run && groups.iter().any(|ours| ours == group) {
                info!(
                    stream = stream.config.name,
                    group, "the broker was started again; what it stores is delivered again"
                );
                self.delete_consumer(&stream.config.name, &name).await?;
            }
        }
        Ok(())
    }

    async fn consumer_names(&self, stream: &str) -> Result<Vec<String>, ConnectError> {
        let subject = format!("CONSUMER.NAMES.{stream}");
        match self
            .request::<_, ConsumerNames>(&subject, &json!({}))
            .await?
        {
            Response::Ok(page) => Ok(page.consumers.unwrap_or_default()),
            Response::Err { error } => Err(declaration_error(stream, error)),
        }
    }

    async fn ensure_stream(&self, topic: &Topic) -> Result<stream::Info, ConnectError> {
        let wanted = self.stream_config(topic);
        if let Some(info) = self.stream_info(&wanted.name).await? {
            compare_streams(&wanted, &info.config)?;
            return Ok(info);
        }
        let subject = format!("STREAM.CREATE.{}", wanted.name);
        match self.request::<_, stream::Info>(&subject, &wanted).await? {
            Response::Ok(info) => Ok(info),
            Response::Err { error } => Err(declaration_error(&wanted.name, error)),
        }
    }

    fn stream_config(&self, topic: &Topic) -> stream::Config {
        stream::Config {
            name: self.names.stream(&topic.name),
            subjects: vec![self.names.subject(&topic.name)],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_bytes: i64::try_from(topic.bytes_max).unwrap_or(i64::MAX),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_message_size: -1,
            num_replicas: 1,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        }
    }

    async fn stream_info(&self, stream: &str) -> Result<Option<stream::Info>, ConnectError> {
        let subject = format!("STREAM.INFO.{stream}");
        match self.request(&subject, &json!({})).await? {
            Response::Ok(info) => Ok(Some(info)),
            Response::Err { error } if error.error_code().0 == STREAM_NOT_FOUND => Ok(None),
            Response::Err { error } => Err(declaration_error(stream, error)),
        }
    }

    async fn ensure_consumer(
        &self,
        topic: &Topic,
        group: &str,
        stream: &stream::Info,
    ) -> Result<(), ConnectError> {
        let name = self.names.consumer(group, self.run.as_deref());
        let wanted = self.consumer_config(&name);
        match self.consumer_info(&stream.config.name, &name).await? {
            None => self.create_consumer(wanted, stream).await,
            Some(info) => {
                let full_name = format!("{}.{group}", topic.name);
                let same = compare_consumers(&full_name, &wanted, &info.config)?;
                if self.is_ahead(&info, stream).await? {
                    return self.rebuild_consumer(wanted, stream, &info).await;
                }
                if same {
                    return Ok(());
                }
                self.create_consumer(wanted, stream).await
            }
        }
    }

    fn consumer_config(&self, name: &str) -> pull::Config {
        pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.lease,
            max_deliver: -1,
            max_ack_pending: ACK_PENDING_MAX,
            ..pull::Config::default()
        }
    }

    pub(super) async fn consumer_info(
        &self,
        stream: &str,
        name: &str,
    ) -> Result<Option<consumer::Info>, ConnectError> {
        let subject = format!("CONSUMER.INFO.{stream}.{name}");
        match self.request(&subject, &json!({})).await? {
            Response::Ok(info) => Ok(Some(info)),
            Response::Err { error } if error.error_code().0 == CONSUMER_NOT_FOUND => Ok(None),
            Response::Err { error } => Err(declaration_error(name, error)),
        }
    }

    async fn create_consumer(
        &self,
        wanted: pull::Config,
        stream: &stream::Info,
    ) -> Result<(), ConnectError> {
        let name = wanted.durable_name.clone().unwrap_or_default();
        let stream_name = &stream.config.name;
        let subject = format!("CONSUMER.DURABLE.CREATE.{stream_name}.{name}");
        let config = wanted.into_consumer_config();
        let request = json!({ "stream_name": stream_name, "config": config });
        match self
            .request::<_, consumer::Info>(&subject, &request)
            .await?
        {
            Response::Ok(_) => Ok(()),
            Response::Err { error } => Err(declaration_error(&name, error)),
        }
    }

    /// Whether the consumer has delivered more than the stream has: then the server lost the end of the stream, and the
    /// consumer would skip as many new messages. The stream was read before the consumer and may have grown in between,
    /// so if it seems so the stream is read again.
    async fn is_ahead(
        &self,
        consumer: &consumer::Info,
        stream: &stream::Info,
    ) -> Result<bool, ConnectError> {
        let delivered = consumer.delivered.stream_sequence;
        if delivered <= stream.state.last_sequence {
            return Ok(false);
        }
        let now = self.stream_info(&stream.config.name).await?;
        Ok(now.is_some_and(|now| delivered > now.state.last_sequence))
    }

    /// Creates a consumer that is ahead of its stream again, from the beginning of the stream.
    ///
    /// Between the deletion and the new creation, other groups' sweepers must not delete what is stored. They wait
    /// while there is a consumer that they do not know, so a stand-in consumer is created first. Several processes may
    /// do this at once, so each has a stand-in of its own: at every moment there is the real consumer or the stand-in
    /// of whoever deleted it. The stand-in of a process that died expires by itself.
    async fn rebuild_consumer(
        &self,
        wanted: pull::Config,
        stream: &stream::Info,
        info: &consumer::Info,
    ) -> Result<(), ConnectError> {
        let name = wanted.durable_name.clone().unwrap_or_default();
        warn!(
            stream = stream.config.name,
            consumer = name,
            delivered = info.delivered.stream_sequence,
            last = stream.state.last_sequence,
            "the broker lost the end of a stream; its consumer starts anew"
        );
        let stand_in = format!(
            "{name}+{}",
            self.context.client().new_inbox().replace('.', "-")
        );
        let config = pull::Config {
            inactive_threshold: STAND_IN_MAX,
            ..self.consumer_config(&stand_in)
        };
        self.create_consumer(config, stream).await?;
        self.delete_consumer(&stream.config.name, &name).await?;
        self.create_consumer(wanted, stream).await?;
        self.delete_consumer(&stream.config.name, &stand_in).await
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), ConnectError> {
        let subject = format!("CONSUMER.DELETE.{stream}.{name}");
        match self
            .request::<_, serde_json::Value>(&subject, &json!({}))
            .await?
        {
            Response::Ok(_) => Ok(()),
            Response::Err { error } if error.error_code().0 == CONSUMER_NOT_FOUND => Ok(()),
            Response::Err { error } => Err(declaration_error(name, error)),
        }
    }

    async fn request<Q: serde::Serialize + ?Sized, A: serde::de::DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
    ) -> Result<Response<A>, ConnectError> {
        let answer = self.context.request(subject.to_owned(), question).await;
        answer.map_err(|error| request_error(subject, error, self.jetstream))
    }
}

fn compare_streams(wanted: &stream::Config, found: &stream::Config) -> Result<(), ConnectError> {
    let differences = [
        difference("retention", &wanted.retention, &found.retention),
        difference("subjects", &wanted.subjects, &found.subjects),
        difference("discard", &wanted.discard, &found.discard),
        difference("storage", &wanted.storage, &found.storage),
        difference("max_bytes", &wanted.max_bytes, &found.max_bytes),
    ];
    conflict_of(&wanted.name, differences)
}

/// Whether they are the same; a difference that would break a promise is a conflict.
fn compare_consumers(
    name: &str,
    wanted: &pull::Config,
    found: &consumer::Config,
) -> Result<bool, ConnectError> {
    let wanted = wanted.clone().into_consumer_config();
    let differences = [
        difference(
            "deliver_subject",
            &wanted.deliver_subject,
            &found.deliver_subject,
        ),
        difference("ack_policy", &wanted.ack_policy, &found.ack_policy),
        difference(
            "filter_subject",
            &wanted.filter_subject,
            &found.filter_subject,
        ),
        difference("max_deliver", &wanted.max_deliver, &found.max_deliver),
        difference("backoff", &wanted.backoff, &found.backoff),
    ];
    conflict_of(name, differences)?;
    Ok(wanted.ack_wait == found.ack_wait && wanted.max_ack_pending == found.max_ack_pending)
}

fn conflict_of(name: &str, differences: [Option<String>; 5]) -> Result<(), ConnectError> {
    let reasons = differences.into_iter().flatten().collect::<Vec<_>>();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(PermanentError::conflict(
        name,
        reasons.join(", "),
        "set `bus.topic_bytes_max` as it was, remove it by hand once it is drained, or set another `bus.prefix`",
    )
    .into())
}

fn difference<T: std::fmt::Debug + PartialEq>(what: &str, wanted: &T, found: &T) -> Option<String> {
    (wanted != found).then(|| format!("{what} is {found:?} and should be {wanted:?}"))
}
