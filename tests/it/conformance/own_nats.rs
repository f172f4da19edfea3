//! What only NATS can get wrong, and what it says then.

use std::{
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::jetstream::{self, consumer, stream};
use residual::{
    bus::{Bus, BusError, Config, Topic, Topology, connect},
    clock::Clock,
};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    ctx::{G, SOLO, consumer, hurried},
    ledger::{Ledger, hold, ids, publish},
    nats::consumer_name,
    servers::NatsServer,
};

fn topology() -> Topology {
    Topology::with_dead_letters(vec![Topic::new(SOLO, &[G])])
}

fn config(server: &NatsServer, login: &str) -> Config {
    hurried(&format!("nats://{login}127.0.0.1:{}", server.port))
}

async fn open(config: &Config) -> Result<Arc<dyn Bus>, BusError> {
    let bus = connect(config, Clock::system()).await?;
    bus.declare(&topology()).await?;
    Ok(bus)
}

async fn jetstream_of(server: &NatsServer) -> jetstream::Context {
    let url = format!("nats://127.0.0.1:{}", server.port);
    jetstream::new(async_nats::connect(url).await.expect("connected"))
}

fn assert_mend(error: &BusError, mend: &str) {
    assert!(error.is_configuration(), "{error}");
    assert!(error.to_string().contains(mend), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_and_the_right_one_is_not() {
    let server = NatsServer::absent("");
    let login = "authorization { user: me, password: \"p@ss\" }";
    server.configure(&format!("{}\n{login}", server.jetstream()));
    server.start();
    for login in ["me:wrong@", ""] {
        let error = open(&config(&server, login)).await.expect_err("refused");
        assert_mend(&error, "user and password");
        assert!(!error.to_string().contains("wrong@"), "{error}");
    }
    open(&config(&server, "me:p%40ss@")).await.expect("let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_url_is_understood() {
    let server = NatsServer::absent("");
    server.configure(&format!(
        "{}\nauthorization {{ token: sesame }}",
        server.jetstream()
    ));
    server.start();
    let error = open(&config(&server, "simsim@"))
        .await
        .expect_err("refused");
    assert_mend(&error, "token");
    open(&config(&server, "sesame@")).await.expect("let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_while_we_work_ends_in_an_error() {
    let server = NatsServer::absent("");
    let with = |password: &str| {
        format!(
            "{}\nauthorization {{ user: me, password: {password} }}",
            server.jetstream()
        )
    };
    server.configure(&with("old"));
    server.start();
    let bus = open(&config(&server, "me:old@")).await.expect("let in");
    server.stop();
    server.configure(&with("new"));
    server.start();
    let refused = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(error) = bus.depth(SOLO, G).await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_mend(&refused.await.expect("an end"), "password");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_jetstream_it_is_refused() {
    let server = NatsServer::absent("");
    server.start();
    let error = open(&config(&server, "")).await.expect_err("refused");
    assert_mend(&error, "-js");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_storage_is_refused() {
    let server = NatsServer::absent("");
    let store = server.jetstream().replace("340MB", "1MB");
    server.configure(&store);
    server.start();
    let error = open(&config(&server, "")).await.expect_err("refused");
    assert_mend(&error, "storage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_somebody_else_is_a_conflict() {
    let server = NatsServer::with_jetstream();
    let jetstream = jetstream_of(&server).await;
    let other = |name: &str| stream::Config {
        name: name.to_owned(),
        subjects: vec![SOLO.to_owned()],
        ..stream::Config::default()
    };
    for name in [SOLO, "elsewhere"] {
        jetstream.create_stream(other(name)).await.expect("created");
        let error = open(&config(&server, "")).await.expect_err("a conflict");
        assert!(matches!(error, BusError::Conflict { .. }), "{error}");
        assert_mend(&error, "bus.prefix");
        jetstream.delete_stream(name).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_gives_up_is_a_conflict() {
    let server = NatsServer::with_jetstream();
    let bus = open(&config(&server, "")).await.expect("declared");
    bus.close().await.expect("closed");
    let jetstream = jetstream_of(&server).await;
    let stream = jetstream.get_stream(SOLO).await.expect("found");
    let name = consumer_name(&jetstream, G);
    stream.delete_consumer(&name).await.expect("deleted");
    let giving_up = consumer::pull::Config {
        durable_name: Some(name),
        max_deliver: 3,
        ..consumer::pull::Config::default()
    };
    stream.create_consumer(giving_up).await.expect("created");
    let error = open(&config(&server, "")).await.expect_err("a conflict");
    assert!(error.to_string().contains("max_deliver"), "{error}");
    assert_mend(&error, "by hand");
}

/// A server that lost the end of a stream and not of its consumer skips as many new messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_ahead_of_its_stream_starts_anew() {
    let server = NatsServer::with_jetstream();
    let bus = open(&config(&server, "")).await.expect("declared");
    publish(&bus, SOLO, 0..5).await;
    server.stop();
    let messages = server
        .store()
        .join("jetstream/$G/streams")
        .join(SOLO)
        .join("msgs");
    let backup = server.store().join("backup");
    copy_files(&messages, &backup);
    server.start();
    let name = consumer_name(&jetstream_of(&server).await, G);
    let mut first = consumer(&bus, SOLO, G, 16).await;
    Ledger::default().drain(&mut *first, 5).await;
    publish(&bus, SOLO, 5..10).await;
    // Delivered and not acked: the server mends what was acked by itself.
    let held = hold(&mut *first, 5).await;
    server.stop();
    drop(held);
    drop(first);
    bus.close().await.expect("closed");
    fs::remove_dir_all(&messages).expect("removed");
    copy_files(&backup, &messages);
    server.start();
    let jetstream = jetstream_of(&server).await;
    let stream = jetstream.get_stream(SOLO).await.expect("found");
    let last = stream.cached_info().state.last_sequence;
    let delivered = stream
        .consumer_info(&name)
        .await
        .expect("found")
        .delivered
        .stream_sequence;
    assert!(
        delivered > last,
        "the fault was not made: {delivered} of {last}"
    );
    let bus = open(&config(&server, "")).await.expect("declared");
    publish(&bus, SOLO, 20..25).await;
    let mut second = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *second, 5).await;
    assert!(ids(20..25).is_subset(&ledger.ids()));
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, words: &str) -> usize {
        let bytes = self.0.lock().unwrap();
        String::from_utf8_lossy(&bytes).matches(words).count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = NatsServer::with_jetstream();
    let bus = open(&config(&server, "")).await.expect("declared");
    let mut link = bus.link();
    server.kill9();
    let tries =
        |link: &residual::bus::Link| matches!(link, residual::bus::Link::Down { tries: 8.., .. });
    link.wait_for(tries).await.expect("a link");
    assert_eq!(lines.count("broker unreachable, retrying"), 1);
    assert_eq!(lines.count("wait_ms="), 1);
    assert_eq!(lines.count("broker reachable again"), 0);
    server.start();
    link.wait_for(|link| *link == residual::bus::Link::Up)
        .await
        .expect("a link");
    assert_eq!(lines.count("broker unreachable, retrying"), 1);
    assert_eq!(lines.count("broker reachable again"), 1);
}
