//! From a URL to an authenticated connection.

use std::{
    io,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{ConnectOptions, Event, ServerAddr};
use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::{
    BODY_MAX,
    error::{connect_error, event_error},
    names::Names,
    session::NatsSession,
};
#[cfg(feature = "tls")]
use crate::bus::tls::client_config;
use crate::bus::{
    BusError, Cause, Config, TlsConfig, redact,
    remote::{ConnectError, Dial, HEADERS_MAX, PermanentError, Session, SessionError, major_minor},
};

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A half-open link is noticed after at most three of these.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Everything needed to connect.
pub(super) struct NatsDial {
    servers: Vec<ServerAddr>,
    login: Login,
    names: Names,
    lease: Duration,
    tls: TlsConfig,
    body_max: Arc<AtomicUsize>,
    /// Logs once that an old server may lose messages.
    warning: Once,
}

#[derive(Clone)]
enum Login {
    None,
    Token(String),
    Password {
        user: String,
        password: String,
    },
    /// The path of a `.creds` file.
    Credentials(String),
    /// The path of a file that holds a seed.
    Nkey(String),
}

impl NatsDial {
    pub(super) async fn new(
        url: &str,
        config: &Config,
        body_max: Arc<AtomicUsize>,
    ) -> Result<Self, BusError> {
        config.tls.check(url, cfg!(feature = "tls"))?;
        let (addresses, query) = url.split_once('?').unwrap_or((url, ""));
        let servers = parse_servers(url, addresses)?;
        let login = match file_login(url, query).await? {
            Some(login) => login,
            None => url_login(&servers),
        };
        let servers = servers.into_iter().map(without_login);
        let servers = servers.collect::<Result<_, _>>().map_err(|error| {
            url_error(url, "it has an address that cannot be used", Some(error))
        })?;
        Ok(Self {
            servers,
            login,
            names: Names::new(&config.prefix),
            lease: Duration::from_millis(config.lease_ms.max(3)),
            tls: config.tls.clone(),
            body_max,
            warning: Once::new(),
        })
    }

    async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = self
            .files()
            .name("residual")
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(CONNECT_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .ignore_discovered_servers()
            .max_reconnects(self.servers.len());
        Ok(match self.login.clone() {
            Login::None => options,
            Login::Token(token) => options.token(token),
            Login::Password { user, password } => options.user_and_password(user, password),
            Login::Nkey(file) => options.nkey(read_again(&file).await?.trim().to_owned()),
            Login::Credentials(file) => {
                let text = read_again(&file).await?;
                options.credentials(&text).map_err(|error| {
                    PermanentError::refused(
                        format!("the credentials file `{file}` is not understood"),
                        "give the .creds file that the NATS operator issued",
                    )
                    .caused_by(error)
                })?
            }
        })
    }

    /// The files of `[bus.tls]`; whether they are used depends on the URL and the server.
    fn files(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new();
        if let Some(file) = &self.tls.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.tls.cert_file, &self.tls.key_file) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

#[async_trait]
impl Dial for NatsDial {
    async fn dial(&self) -> Result<Box<dyn Session>, ConnectError> {
        #[cfg(feature = "tls")]
        if self.servers.iter().any(ServerAddr::tls_required) {
            // The client reads the files itself, but reports less about one that it cannot use.
            client_config(&self.tls).await?;
        }
        let lost = watch::Sender::new(None);
        let events = lost.clone();
        let options = self.options().await?.event_callback(move |event| {
            let lost = events.clone();
            async move { end_session(&lost, &event) }
        });
        let client = options
            .connect(self.servers.clone())
            .await
            .map_err(connect_error)?;
        let version = client.server_info().version;
        if may_lose_confirmed(&version) {
            self.warning.call_once(|| {
                tracing::warn!(
                    version,
                    "this nats-server loses confirmed messages now and then when it is killed; 2.10 and later do not"
                );
            });
        }
        let room = client.max_payload().saturating_sub(HEADERS_MAX + 1024);
        self.body_max.store(room.min(BODY_MAX), Ordering::Relaxed);
        Ok(Box::new(NatsSession::new(
            client,
            lost,
            self.names.clone(),
            self.lease,
        )))
    }
}

/// Whether a server of that version was seen to lose confirmed messages: 2.9.10 in 3 of 5 runs of a minute in which it
/// was killed every few seconds, 2.10.27 in none of the same runs (`tests/brokers/random_kills.rs`).
fn may_lose_confirmed(version: &str) -> bool {
    match major_minor(version) {
        [Some(major), Some(minor)] => (major, minor) < (2, 10),
        _ => false,
    }
}

/// The first event that ends the session is its reason.
fn end_session(lost: &watch::Sender<Option<SessionError>>, event: &Event) {
    let Some(error) = event_error(event) else {
        return;
    };
    lost.send_if_modified(|lost| {
        let first = lost.is_none();
        if first {
            *lost = Some(error);
        }
        first
    });
}

fn parse_servers(url: &str, addresses: &str) -> Result<Vec<ServerAddr>, BusError> {
    addresses
        .split(',')
        .map(|address| address.trim().parse::<ServerAddr>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| url_error(url, "it has an address that cannot be used", Some(error)))
}

async fn file_login(url: &str, query: &str) -> Result<Option<Login>, BusError> {
    let mut login = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, file) = pair.split_once('=').unwrap_or((pair, ""));
        let file = percent_decode(file);
        let readable = tokio::fs::read_to_string(&file).await;
        let unreadable = readable
            .err()
            .map(|error| (format!("the {key} file `{file}` cannot be read"), error));
        let known = match key {
            "creds" => Login::Credentials(file),
            "nkey" => Login::Nkey(file),
            _ => {
                return Err(url_error(
                    url,
                    format!("unknown parameter `{key}`; `creds` and `nkey` are known"),
                    None,
                ));
            }
        };
        if let Some((reason, error)) = unreadable {
            return Err(url_error(url, reason, Some(error)));
        }
        login = Some(known);
    }
    Ok(login)
}

/// Reads for each connection, so that the next one uses a renewed secret. While the file is being replaced it may be
/// missing for a moment, which is a transient error.
async fn read_again(file: &str) -> Result<String, ConnectError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|error| SessionError::failed(format!("reading `{file}`"), error).into())
}

fn url_login(servers: &[ServerAddr]) -> Login {
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else {
        return Login::None;
    };
    let user = percent_decode(server.username().unwrap_or_default());
    match server.password() {
        None => Login::Token(user),
        Some(password) => Login::Password {
            user,
            password: percent_decode(password),
        },
    }
}

/// The address alone. The login goes another way, and async-nats writes addresses into its debug log.
fn without_login(server: ServerAddr) -> io::Result<ServerAddr> {
    let mut url = server.into_inner();
    // Both fail only on a URL without a host, and then there is no login either.
    url.set_username("").ok();
    url.set_password(None).ok();
    ServerAddr::from_url(url)
}

fn url_error(url: &str, reason: impl Into<String>, source: Option<io::Error>) -> BusError {
    BusError::Url {
        url: redact(url),
        reason: reason.into(),
        source: source.map(|error| -> Cause { Arc::new(error) }),
    }
}

/// A `%` that begins no escape stands for itself.
fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_escapes_are_undone_and_broken_ones_are_kept() {
        assert_eq!(percent_decode("p%40ss%2Fw%"), "p@ss/w%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn only_servers_before_2_10_are_warned_of() {
        let warned = ["2.9.10", "1.4.1", "2.9"].map(may_lose_confirmed);
        assert_eq!(warned, [true; 3]);
        let trusted =
            ["2.10.0", "2.10.27", "2.12.1-RC.1", "3.0.0", "nightly"].map(may_lose_confirmed);
        assert_eq!(trusted, [false; 5]);
    }

    #[tokio::test]
    async fn addresses_hold_no_login() {
        let body_max = Arc::new(AtomicUsize::new(0));
        let url = "nats://u:secret@h:1,nats://u:secret@i:2";
        let dial = NatsDial::new(url, &Config::default(), body_max).await;
        let dial = dial.unwrap_or_else(|error| panic!("{error}"));
        assert!(!format!("{:?}", dial.servers).contains("secret"));
        assert_eq!(dial.servers.len(), 2);
        assert!(matches!(dial.login, Login::Password { .. }));
    }

    #[tokio::test]
    async fn an_unknown_parameter_is_named_and_the_password_is_not() {
        let body_max = Arc::new(AtomicUsize::new(0));
        let dial = NatsDial::new("nats://u:secret@h?cred=x", &Config::default(), body_max).await;
        let text = dial
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(text.contains("`cred`"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
