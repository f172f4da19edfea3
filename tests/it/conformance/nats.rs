//! NATS JetStream under test.

use std::time::Duration;

use bytes::Bytes;
use residual::bus::{
    BusError, Config, Message, Topic, Topology,
    backend::{Backend, Disposition},
    nats::Nats,
};
use uuid::Uuid;

use super::servers::NatsServer;

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
    let server = NatsServer::with_jetstream();
    let url = format!("nats://127.0.0.1:{}", server.port);
    let nats = Nats::connect(&url, &Config::default()).await.unwrap();
    nats.declare(&topology()).await.unwrap();
    println!("{:?}", nats.describe().await);
    let mut publisher = nats.publisher("solo").await.unwrap();
    let begun = std::time::Instant::now();
    let receipt = publisher
        .publish((0..10_000).map(message).collect())
        .await
        .unwrap();
    receipt.await.unwrap();
    println!("published in {:?}", begun.elapsed());
    println!("{:?}", nats.depth("solo", "g").await);
    let mut subscription = nats.subscribe("solo", "g", 256).await.unwrap();
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
    println!("{:?}", nats.depth("solo", "g").await);
    subscription.close().await.unwrap();
    publisher.close().await.unwrap();
    nats.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_jetstream_it_is_refused_with_the_mend() {
    let server = NatsServer::absent("");
    server.start();
    let url = format!("nats://127.0.0.1:{}", server.port);
    let nats = Nats::connect(&url, &Config::default()).await.unwrap();
    let error = nats.declare(&topology()).await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
    assert!(error.to_string().contains("-js"), "{error}");
    let error: BusError = error;
    println!("{error}");
}
