//! TLS to both brokers, with a certificate authority that no system trusts: what is accepted, and what the error says
//! otherwise.

use std::{path::Path, sync::Arc};

use residual::{
    bus::{Bus, BusError, Config, Link, TlsConfig, Topic, Topology, connect, random_seed},
    clock::Clock,
    telemetry::with_causes,
};

use crate::{
    authority::{Authority, Identity, replace},
    conformance::{
        ctx::{G, SOLO, consumer, hurried, within},
        ledger::{Ledger, SOON, ids, publish},
    },
    port::free_port,
    servers::{nats::NatsServer, rabbitmq::RabbitServer},
};

const HOST: &str = "127.0.0.1";

fn config(url: &str, ca_file: &Path, client: Option<&Identity>) -> Config {
    Config {
        tls: TlsConfig {
            ca_file: Some(ca_file.to_owned()),
            cert_file: client.map(|client| client.certificate.clone()),
            key_file: client.map(|client| client.key.clone()),
        },
        ..hurried(url)
    }
}

async fn open(config: &Config) -> Result<Arc<dyn Bus>, BusError> {
    let bus = connect(config, Clock::system(), random_seed()).await?;
    bus.declare(&Topology::with_dead_letters(vec![Topic::new(SOLO, &[G])]))
        .await?;
    Ok(bus)
}

async fn assert_carries(bus: &Arc<dyn Bus>, numbers: std::ops::Range<u64>) {
    publish(bus, SOLO, numbers.clone()).await;
    let mut consumer = consumer(bus, SOLO, G, 16).await;
    let mut ledger = Ledger::default();
    ledger.drain(&mut *consumer, numbers.clone().count()).await;
    assert_eq!(ledger.ids(), ids(numbers));
    consumer.close().await.expect("closed");
}

async fn assert_refused(config: &Config, words: &[&str]) {
    let error = within(SOON, open(config)).await.expect_err("refused");
    assert!(error.is_configuration(), "{error}");
    for word in words {
        let printed = with_causes(&error);
        assert!(printed.contains(word), "`{word}`: {printed}");
    }
}

/// What holds for a server whose certificate is for `HOST`, signed by the authority; `in_clear` is a URL of a port that
/// does not speak TLS.
async fn hold_server_laws(url: impl Fn(&str) -> String, authority: &Authority, in_clear: &str) {
    let here = url(HOST);
    let bus = open(&config(&here, &authority.file(), None))
        .await
        .expect("let in");
    assert_carries(&bus, 0..20).await;
    let version = bus.describe().await.expect("described").version;
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()),
        "{version}"
    );
    bus.close().await.expect("closed");

    let stranger = Authority::new("stranger");
    let remedy = "`bus.tls.ca_file`";
    assert_refused(
        &config(&here, &stranger.file(), None),
        &["UnknownIssuer", remedy],
    )
    .await;
    assert_refused(&hurried(&here), &[remedy]).await;
    // The certificate is for the address, not for the name.
    assert_refused(
        &config(&url("localhost"), &authority.file(), None),
        &["localhost", remedy],
    )
    .await;

    let gone = authority.file().with_file_name("gone.pem");
    assert_refused(&config(&here, &gone, None), &[remedy, "gone.pem"]).await;
    let identity = authority.sign("client");
    assert_refused(
        &config(&here, &identity.key, None),
        &[remedy, "no certificate"],
    )
    .await;
    let mut half = config(&here, &authority.file(), Some(&identity));
    half.tls.key_file = None;
    assert_refused(&half, &["`bus.tls.key_file`", "both"]).await;
    half.tls.key_file = Some(authority.sign("another").key);
    assert_refused(&half, &["`bus.tls.key_file`", "do not fit"]).await;

    assert_refused(&config(in_clear, &authority.file(), None), &["speaks TLS"]).await;
}

/// What holds for a server that asks for a certificate of ours.
async fn hold_client_laws(url: &str, authority: &Authority) {
    let client = authority.sign("client");
    let bus = open(&config(url, &authority.file(), Some(&client)))
        .await
        .expect("let in");
    assert_carries(&bus, 0..5).await;
    bus.close().await.expect("closed");
    assert_refused(
        &config(url, &authority.file(), None),
        &["`bus.tls.cert_file`"],
    )
    .await;
    let stranger = Authority::new("stranger").sign("client");
    let strange = config(url, &authority.file(), Some(&stranger));
    assert_refused(&strange, &["`bus.tls.cert_file`"]).await;
}

fn nats_tls(server: &NatsServer, identity: &Identity, ca_file: Option<&Path>) -> String {
    let verify = ca_file.map(|file| format!("ca_file: \"{}\", verify: true, ", file.display()));
    format!(
        "{}\ntls {{ {}cert_file: \"{}\", key_file: \"{}\", timeout: 30 }}",
        server.jetstream(),
        verify.unwrap_or_default(),
        identity.certificate.display(),
        identity.key.display(),
    )
}

fn secured_nats(identity: &Identity, ca_file: Option<&Path>) -> NatsServer {
    let server = NatsServer::absent("");
    server.configure(&nats_tls(&server, identity, ca_file));
    server.start();
    server
}

/// A server that speaks TLS on the port that is returned, beside the other.
fn secured_rabbitmq(identity: &Identity, ca_file: &Path, asks: bool) -> (RabbitServer, u16) {
    let (server, port) = (RabbitServer::absent(), free_port());
    let verify = if asks { "verify_peer" } else { "verify_none" };
    server.configure(&format!(
        "listeners.ssl.1 = {HOST}:{port}\nssl_handshake_timeout = 30000\nssl_options.cacertfile = {}\n\
         ssl_options.certfile = {}\nssl_options.keyfile = {}\nssl_options.verify = {verify}\n\
         ssl_options.fail_if_no_peer_cert = {asks}\n",
        ca_file.display(),
        identity.certificate.display(),
        identity.key.display(),
    ));
    server.start();
    (server, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_with_a_private_authority_is_trusted_by_file_only() {
    let authority = Authority::new("ours");
    let server = secured_nats(&authority.sign(HOST), None);
    let plain = NatsServer::with_jetstream();
    let url = |host: &str| format!("tls://{host}:{}", server.port);
    let in_clear = format!("tls://{HOST}:{}", plain.port);
    hold_server_laws(url, &authority, &in_clear).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_asks_for_a_certificate_is_given_ours() {
    let authority = Authority::new("ours");
    let server = secured_nats(&authority.sign(HOST), Some(&authority.file()));
    hold_client_laws(&format!("tls://{HOST}:{}", server.port), &authority).await;
}

/// The next connection reads the files again, so a renewed authority needs no restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_authority_is_taken_up_by_the_next_connection() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = secured_nats(&old.sign(HOST), None);
    let url = format!("tls://{HOST}:{}", server.port);
    let bus = open(&config(&url, &old.file(), None))
        .await
        .expect("let in");
    server.stop();
    server.configure(&nats_tls(&server, &new.sign(HOST), None));
    replace(&old.file(), &new.file());
    let mut link = bus.link();
    let down = link.wait_for(|link| *link != Link::Up);
    within(SOON, down).await.expect("a link");
    server.start();
    let up = link.wait_for(|link| *link == Link::Up);
    within(SOON, up).await.expect("a link");
    assert_carries(&bus, 0..5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rabbitmq_with_a_private_authority_is_trusted_by_file_only() {
    let authority = Authority::new("ours");
    let (server, port) = secured_rabbitmq(&authority.sign(HOST), &authority.file(), false);
    let url = |host: &str| format!("amqps://{host}:{port}");
    let in_clear = format!("amqps://{HOST}:{}", server.port);
    hold_server_laws(url, &authority, &in_clear).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rabbitmq_that_asks_for_a_certificate_is_given_ours() {
    let authority = Authority::new("ours");
    let (_server, port) = secured_rabbitmq(&authority.sign(HOST), &authority.file(), true);
    hold_client_laws(&format!("amqps://{HOST}:{port}"), &authority).await;
}
