//! Faults that only NATS can have, and what the error says then.

use std::{
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::jetstream::{self, consumer, stream};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use residual::{
    bus::{Bus, BusError, Config, Topic, Topology, connect, random_seed},
    clock::Clock,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tracing_subscriber::fmt::MakeWriter;

use super::consumer_name;
use crate::{
    conformance::{
        ctx::{G, SOLO, consumer, hurried, within},
        ledger::{Ledger, SOON, hold, ids, publish},
    },
    servers::nats::NatsServer,
};

fn topology() -> Topology {
    Topology::with_dead_letters(vec![Topic::new(SOLO, &[G])])
}

pub(crate) fn config(server: &NatsServer, login: &str) -> Config {
    hurried(&format!("nats://{login}127.0.0.1:{}", server.port))
}

pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Bus>, BusError> {
    let bus = connect(config, Clock::system(), random_seed()).await?;
    bus.declare(&topology()).await?;
    Ok(bus)
}

async fn jetstream_of(server: &NatsServer) -> jetstream::Context {
    let url = format!("nats://127.0.0.1:{}", server.port);
    jetstream::new(async_nats::connect(url).await.expect("connected"))
}

fn assert_remedy(error: &BusError, remedy: &str) {
    assert!(error.is_configuration(), "{error}");
    assert!(error.to_string().contains(remedy), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_and_the_right_one_is_not() {
    let server = NatsServer::absent("");
    let login = "authorization { user: me, password: \"p@ss\" }";
    server.configure(&format!("{}\n{login}", server.jetstream()));
    server.start();
    for login in ["me:wrong@", ""] {
        let error = open(&config(&server, login)).await.expect_err("refused");
        assert_remedy(&error, "user and password");
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
    assert_remedy(&error, "token");
    open(&config(&server, "sesame@")).await.expect("let in");
}

/// A file that a login names.
fn secret(directory: &TempDir, name: &str, text: &str) -> String {
    let file = directory.path().join(name);
    fs::write(&file, text).expect("written");
    file.display().to_string()
}

fn with_query(server: &NatsServer, query: &str) -> Config {
    let mut config = config(server, "");
    config.url = format!("{}?{query}", config.url);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_in_a_file_is_understood() {
    let files = tempfile::tempdir().expect("a directory");
    let (ours, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let server = NatsServer::absent("");
    server.configure(&format!(
        "{}\nauthorization {{ users: [{{ nkey: {} }}] }}",
        server.jetstream(),
        ours.public_key()
    ));
    server.start();
    let file = |name: &str, key: &KeyPair| secret(&files, name, &key.seed().expect("a seed"));
    let login = format!("nkey={}", file("ours.nk", &ours));
    open(&with_query(&server, &login)).await.expect("let in");
    let login = format!("nkey={}", file("stranger.nk", &stranger));
    let error = open(&with_query(&server, &login))
        .await
        .expect_err("refused");
    assert_remedy(&error, "?nkey=FILE");
    let error = open(&with_query(&server, "nkey=gone.nk"))
        .await
        .expect_err("refused");
    assert_remedy(&error, "gone.nk");
    let login = format!("nkey={}", secret(&files, "broken.nk", "no seed"));
    let error = open(&with_query(&server, &login))
        .await
        .expect_err("refused");
    assert_remedy(&error, "?nkey=FILE");
}

/// A signed claim as NATS writes them: who vouches for whom, with which permissions.
fn claim(issuer: &KeyPair, subject: &KeyPair, nats: &serde_json::Value) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let body = part(&json!({
        "jti": subject.public_key(),
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "name": "it",
        "sub": subject.public_key(),
        "nats": nats,
    }));
    let signed = format!("{header}.{body}");
    let signature = issuer.sign(signed.as_bytes()).expect("signed");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A `.creds` file: the claim and the seed of its user.
fn creds(account: &KeyPair, user: &KeyPair, seed_of: &KeyPair) -> String {
    let claim = claim(
        account,
        user,
        &json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 }),
    );
    let seed = seed_of.seed().expect("a seed");
    format!(
        "-----BEGIN NATS USER JWT-----\n{claim}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// A server that trusts an operator, who vouches for an account with JetStream.
fn with_operator(operator: &KeyPair, account: &KeyPair) -> NatsServer {
    let system = KeyPair::new_account();
    let unbounded = |disk: i64| {
        json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
                "leaf": -1, "mem_storage": disk, "disk_storage": disk, "streams": disk, "consumer": disk })
    };
    let account_claim = |key: &KeyPair, disk: i64| {
        claim(
            operator,
            key,
            &json!({ "type": "account", "version": 2, "limits": unbounded(disk) }),
        )
    };
    let server = NatsServer::absent("");
    server.configure(&format!(
        "{}\noperator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
        server.jetstream(),
        claim(operator, operator, &json!({ "type": "operator", "version": 2 })),
        system.public_key(),
        system.public_key(),
        account_claim(&system, 0),
        account.public_key(),
        account_claim(account, -1),
    ));
    server.start();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creds_file_is_understood_and_taken_up_when_it_is_renewed() {
    let files = tempfile::tempdir().expect("a directory");
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let server = with_operator(&operator, &account);
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let mut files_made = 0;
    let mut login = |text: &str| {
        files_made += 1;
        format!(
            "creds={}",
            secret(&files, &format!("{files_made}.creds"), text)
        )
    };
    for refused in [
        creds(&account, &user, &other),
        creds(&KeyPair::new_account(), &user, &user),
    ] {
        let config = with_query(&server, &login(&refused));
        let error = open(&config).await.expect_err("refused");
        assert_remedy(&error, "?creds=FILE");
    }
    let error = open(&with_query(&server, &login("no credentials"))).await;
    assert_remedy(&error.expect_err("refused"), ".creds file");
    let error = open(&with_query(&server, "creds=gone.creds")).await;
    assert_remedy(&error.expect_err("refused"), "gone.creds");

    let config = with_query(&server, &login(&creds(&account, &user, &user)));
    let bus = open(&config).await.expect("let in");
    publish(&bus, SOLO, 0..5).await;
    // The next connection is another user's.
    let file = config.url.rsplit('=').next().expect("a file");
    fs::write(file, creds(&account, &other, &other)).expect("written");
    server.stop();
    server.start();
    let mut consumer = consumer(&bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, 5).await;
    assert_eq!(ledger.ids(), ids(0..5));
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
    assert_remedy(&refused.await.expect("an end"), "password");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_jetstream_it_is_refused() {
    let server = NatsServer::absent("");
    server.start();
    let error = open(&config(&server, "")).await.expect_err("refused");
    assert_remedy(&error, "-js");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_storage_is_refused() {
    let server = NatsServer::absent("");
    let store = server.jetstream().replace("340MB", "1MB");
    server.configure(&store);
    server.start();
    let error = open(&config(&server, "")).await.expect_err("refused");
    assert_remedy(&error, "storage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_another_client_is_a_conflict() {
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
        assert_remedy(&error, "bus.prefix");
        jetstream.delete_stream(name).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_with_max_deliver_is_a_conflict() {
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
    assert_remedy(&error, "by hand");
}

/// A server that lost the end of a stream and not of its consumer skips as many new messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_ahead_of_its_stream_starts_anew() {
    let server = NatsServer::with_jetstream();
    let bus = open(&config(&server, "")).await.expect("declared");
    let named = |jetstream: &_| consumer_name(jetstream, G);
    put_consumer_ahead(bus, &server, &server, named).await;
    let bus = open(&config(&server, "")).await.expect("declared");
    assert_starts_anew(&bus).await;
}

/// Removes the end of the stream from the server that holds it, but not from its consumer; `client` is the server that
/// we talk to.
/// `named` is the consumer's name at that time.
pub(crate) async fn put_consumer_ahead(
    bus: Arc<dyn Bus>,
    client: &NatsServer,
    holder: &NatsServer,
    named: impl Fn(&jetstream::Context) -> String,
) -> (stream::Stream, consumer::Info) {
    publish(&bus, SOLO, 0..5).await;
    let (stored, backup) = (holder.stored(SOLO), holder.store().join("backup"));
    block_in_place(|| holder.stop());
    copy_files(&stored, &backup);
    block_in_place(|| holder.start());
    let name = named(&jetstream_of(client).await);
    info_of(client, &name).await;
    let mut first = consumer(&bus, SOLO, G, 16).await;
    Ledger::default().drain(&mut *first, 5).await;
    publish(&bus, SOLO, 5..10).await;
    // Delivered and not acked: the server itself repairs what was acked.
    let held = hold(&mut *first, 5).await;
    block_in_place(|| holder.stop());
    drop(held);
    drop(first);
    bus.close().await.expect("closed");
    fs::remove_dir_all(&stored).expect("removed");
    copy_files(&backup, &stored);
    block_in_place(|| holder.start());
    let (stream, info) = info_of(client, &name).await;
    let last = stream.cached_info().state.last_sequence;
    let delivered = info.delivered.stream_sequence;
    assert!(
        delivered > last,
        "the fault was not made: {delivered} of {last}"
    );
    (stream, info)
}

/// The stream and its consumer, as soon as the server, or the cluster, knows them again.
async fn info_of(server: &NatsServer, name: &str) -> (stream::Stream, consumer::Info) {
    let jetstream = jetstream_of(server).await;
    within(SOON, async {
        loop {
            if let Ok(stream) = jetstream.get_stream(SOLO).await
                && let Ok(info) = stream.consumer_info(name).await
            {
                return (stream, info);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

/// After [`put_consumer_ahead`]: nothing is skipped.
pub(crate) async fn assert_starts_anew(bus: &Arc<dyn Bus>) {
    publish(bus, SOLO, 20..25).await;
    let mut second = consumer(bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    // What came back with the backup is delivered again, and may come in a batch of its own.
    ledger.drain(&mut *second, 10).await;
    assert_eq!(ledger.ids(), &ids(0..5) | &ids(20..25));
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
async fn an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() {
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
