//! RabbitMQ under test.

use std::time::Duration;

use bytes::Bytes;
use residual::bus::{
    Config, Message, Topic, Topology,
    backend::{Backend, Disposition},
    rabbitmq::Rabbitmq,
};
use uuid::Uuid;

use super::servers::RabbitServer;

fn topology() -> Topology {
    Topology::with_dead_letters(vec![Topic::new("solo", &["g"])])
}

fn message(n: u64) -> Message {
    Message::new(
        Uuid::from_u128(u128::from(n) + 1),
        "text/plain",
        Bytes::from(n.to_string()),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke() {
    let begun = std::time::Instant::now();
    let server = RabbitServer::started();
    println!("started in {:?}", begun.elapsed());
    let url = format!("amqp://127.0.0.1:{}", server.port);
    let rabbit = Rabbitmq::connect(&url, &Config::default()).await.unwrap();
    rabbit.declare(&topology()).await.unwrap();
    println!("{:?}", rabbit.describe().await);
    let mut publisher = rabbit.publisher("solo").await.unwrap();
    let begun = std::time::Instant::now();
    let receipt = publisher
        .publish((0..10_000).map(message).collect())
        .await
        .unwrap();
    receipt.await.unwrap();
    println!("published in {:?}", begun.elapsed());
    println!("{:?}", rabbit.depth("solo", "g").await);
    let mut subscription = rabbit.subscribe("solo", "g", 256).await.unwrap();
    let mut seen = 0;
    let begun = std::time::Instant::now();
    while seen < 10_000 {
        let batch = subscription
            .recv(256, Duration::from_millis(5))
            .await
            .unwrap();
        seen += batch.len();
        assert!(batch.iter().all(|delivery| delivery.attempt == 1));
        let acks = batch
            .into_iter()
            .map(|delivery| (delivery.token, Disposition::Ack))
            .collect();
        let settled = subscription.settle(acks).await.unwrap();
        assert_eq!(settled.stale, 0);
    }
    println!("consumed in {:?}", begun.elapsed());
    println!("{:?}", rabbit.depth("solo", "g").await);

    let receipt = publisher.publish(vec![message(1)]).await.unwrap();
    receipt.await.unwrap();
    for disposition in [
        Disposition::Release,
        Disposition::Retry(Duration::ZERO),
        Disposition::Retry(Duration::from_millis(300)),
        Disposition::Ack,
    ] {
        let begun = std::time::Instant::now();
        let mut batch = subscription.recv(1, Duration::ZERO).await.unwrap();
        let delivery = batch.remove(0);
        println!(
            "attempt {} after {:?}, now {disposition:?}",
            delivery.attempt,
            begun.elapsed()
        );
        subscription
            .settle(vec![(delivery.token, disposition)])
            .await
            .unwrap();
    }
    let begun = std::time::Instant::now();
    subscription.close().await.unwrap();
    println!("closed in {:?}", begun.elapsed());
    let receipt = publisher.publish(vec![message(1)]).await.unwrap();
    receipt.await.unwrap();
    for _ in 0..3 {
        let mut subscription = rabbit.subscribe("solo", "g", 256).await.unwrap();
        let mut batch = subscription.recv(1, Duration::ZERO).await.unwrap();
        println!("attempt {} after a close", batch.remove(0).attempt);
        subscription.close().await.unwrap();
    }
    publisher.close().await.unwrap();
    rabbit.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals() {
    let server = RabbitServer::started();
    for url in [
        format!("amqp://guest:wrong@127.0.0.1:{}", server.port),
        format!("amqp://127.0.0.1:{}/nowhere", server.port),
    ] {
        let error = Rabbitmq::connect(&url, &Config::default())
            .await
            .unwrap_err();
        println!("{error}");
        assert!(error.is_configuration(), "{error}");
    }
    let url = format!("amqp://127.0.0.1:{}", server.port);
    let rabbit = Rabbitmq::connect(&url, &Config::default()).await.unwrap();
    rabbit.declare(&topology()).await.unwrap();
    let mut other = topology();
    other.topics[0].bytes_max = 5;
    let error = rabbit.declare(&other).await.unwrap_err();
    println!("{error}");
    assert!(error.is_configuration(), "{error}");
    rabbit.declare(&topology()).await.unwrap();
}
