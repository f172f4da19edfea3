//! Faults that only RabbitMQ can have, and what the error says then.

use std::{sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, QueueDeclareOptions},
    types::FieldTable,
};
use residual::{
    bus::{Bus, BusError, Config, Link, Topic, Topology, connect, random_seed},
    clock::Clock,
};

use crate::{
    conformance::{
        ctx::{G, SOLO, consumer, hurried, within},
        ledger::recv_one,
    },
    servers::rabbitmq::{RabbitServer, SharedRabbit},
};

fn topology() -> Topology {
    Topology::with_dead_letters(vec![Topic::new(SOLO, &[G])])
}

fn config(port: u16, login: &str, vhost: &str) -> Config {
    Config {
        prefix: format!("own-{}.", std::process::id()),
        ..hurried(&format!("amqp://{login}127.0.0.1:{port}{vhost}"))
    }
}

async fn open(config: &Config) -> Result<Arc<dyn Bus>, BusError> {
    let bus = connect(config, Clock::system(), random_seed()).await?;
    bus.declare(&topology()).await?;
    Ok(bus)
}

fn assert_remedy(error: &BusError, remedy: &str) {
    assert!(error.is_configuration(), "{error}");
    assert!(error.to_string().contains(remedy), "{error}");
}

async fn channel(port: u16) -> Channel {
    let url = format!("amqp://127.0.0.1:{port}");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await;
    connection
        .expect("connected")
        .create_channel()
        .await
        .expect("a channel")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused() {
    let server = SharedRabbit::join();
    let config = config(server.port, "guest:wrong@", "");
    let error = open(&config).await.expect_err("refused");
    assert_remedy(&error, "user and password");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vhost_that_does_not_exist_is_refused() {
    let server = SharedRabbit::join();
    let error = open(&config(server.port, "", "/nowhere"))
        .await
        .expect_err("refused");
    assert_remedy(&error, "add_vhost nowhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_permissions_is_refused() {
    let server = RabbitServer::started();
    server.control(&["add_user", "me", "secret"]);
    let config = config(server.port, "me:secret@", "");
    let error = open(&config).await.expect_err("refused");
    assert_remedy(&error, "set_permissions");
    server.control(&["set_permissions", "me", "^none$", "^none$", "^none$"]);
    let error = open(&config).await.expect_err("refused");
    assert_remedy(&error, "set_permissions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_is_a_conflict() {
    let server = SharedRabbit::join();
    let config = config(server.port, "", "");
    let name = format!("{}{SOLO}.{G}", config.prefix);
    let options = QueueDeclareOptions::durable();
    let classic = channel(server.port).await;
    let declared = classic.queue_declare(name.as_str().into(), options, FieldTable::default());
    declared.await.expect("declared");
    let error = open(&config).await.expect_err("a conflict");
    assert!(matches!(error, BusError::Conflict { .. }), "{error}");
    assert_remedy(&error, "bus.prefix");
    assert!(error.to_string().contains(&name), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_another_client_is_accepted_as_it_is() {
    let server = SharedRabbit::join();
    let config = config(server.port, "", "");
    let bus = open(&config).await.expect("declared");
    let foreign = channel(server.port).await;
    let exchange = format!("{}{SOLO}", config.prefix);
    let published = foreign.basic_publish(
        exchange.as_str().into(),
        "any.key".into(),
        BasicPublishOptions::default(),
        br#"{"id": 1, "body": 2}"#,
        BasicProperties::default(),
    );
    published
        .await
        .expect("published")
        .await
        .expect("published");
    let mut consumer = consumer(&bus, SOLO, G, 4).await;
    let delivery = recv_one(&mut *consumer).await;
    assert_eq!(&delivery.message.body[..], br#"{"id": 1, "body": 2}"#);
    assert_eq!(delivery.message.content_type, "");
    assert_eq!(delivery.attempt, 1);
    assert!(!delivery.message.id.is_nil());
}

/// The connection lives, heartbeats and all, while no queue is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declaration_that_is_not_answered_is_made_again() {
    let server = RabbitServer::started();
    let config = config(server.port, "", "");
    let bus = connect(&config, Clock::system(), random_seed())
        .await
        .expect("connected");
    server.control(&["eval", "sys:suspend(ra_server_sup_sup)."]);
    let mut link = bus.link();
    let declaring = tokio::spawn(async move { bus.declare(&topology()).await });
    let limit = Duration::from_secs(30);
    let down = link.wait_for(
        |link| matches!(link, Link::Down { reason, .. } if reason.contains("was not answered")),
    );
    within(limit, down).await.expect("it says so");
    server.control(&["eval", "sys:resume(ra_server_sup_sup)."]);
    within(limit, declaring)
        .await
        .expect("joined")
        .expect("declared");
}
