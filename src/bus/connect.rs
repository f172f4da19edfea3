//! From a URL to a bus: the one place that knows which backends there are.
//!
//! Promise: the password goes to the broker and nowhere else. Every URL that is shown went through [`redact`].

#[cfg(not(all(feature = "rabbitmq", feature = "nats")))]
use std::future::{Ready, ready};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    path::Path,
    sync::Arc,
};

use super::{
    Bus, BusError, Config, backend::Backend, embedded::Embedded, observed::ObservedBus, password,
    redact::redact, settle::SettlingBus,
};
use crate::clock::Clock;

/// Opens the bus that the URL names. Waits for an absent broker.
///
/// The clock dates dead letters. The seed makes the jitter of every wait: clients that share one would come back in
/// step after an outage, so in production it is [`random_seed`].
///
/// # Errors
/// [`BusError::Url`] when the URL is not one of ours or this build lacks its backend, [`BusError::Tls`] when the files
/// of `[bus.tls]` do not go with it, [`BusError::PasswordFile`] when the file of the password cannot be used; otherwise
/// what the backend reports at its first try: refused credentials, a directory that is in use.
pub async fn connect(config: &Config, clock: Clock, seed: u64) -> Result<Arc<dyn Bus>, BusError> {
    let url = password::with_password(config)?;
    let (scheme, rest) = url
        .split_once(':')
        .ok_or_else(|| url_error(&url, "it has no scheme"))?;
    config.tls.check(&url, cfg!(feature = "tls"))?;
    match scheme {
        "embedded" if rest.is_empty() => {
            Ok(wrapped(Embedded::memory(config.clone()), config, clock))
        }
        "embedded" => {
            let broker = Embedded::open(Path::new(rest), config.clone()).await?;
            Ok(wrapped(broker, config, clock))
        }
        "amqp" | "amqps" => rabbitmq(&url, config, clock, seed).await,
        "nats" | "tls" => nats(&url, config, clock, seed).await,
        other => Err(url_error(
            &url,
            &format!("`{other}` is not a scheme of a bus"),
        )),
    }
}

/// A seed that differs between processes. For the composition root only; everything else is given one.
#[must_use]
pub fn random_seed() -> u64 {
    // The standard library keys its hash maps at random, without a way to fail.
    RandomState::new().build_hasher().finish()
}

fn wrapped(backend: impl Backend, config: &Config, clock: Clock) -> Arc<dyn Bus> {
    Arc::new(ObservedBus::new(Arc::new(SettlingBus::new(
        backend, config, clock,
    ))))
}

fn url_error(url: &str, reason: &str) -> BusError {
    BusError::Url {
        url: redact(url),
        reason: reason.to_owned(),
        source: None,
    }
}

#[cfg(feature = "rabbitmq")]
async fn rabbitmq(
    url: &str,
    config: &Config,
    clock: Clock,
    seed: u64,
) -> Result<Arc<dyn Bus>, BusError> {
    let backend = super::rabbitmq::connect(url, config, seed).await?;
    Ok(wrapped(backend, config, clock))
}

#[cfg(not(feature = "rabbitmq"))]
fn rabbitmq(
    url: &str,
    _config: &Config,
    _clock: Clock,
    _seed: u64,
) -> Ready<Result<Arc<dyn Bus>, BusError>> {
    ready(Err(url_error(
        url,
        "this build lacks the `rabbitmq` feature",
    )))
}

#[cfg(feature = "nats")]
async fn nats(
    url: &str,
    config: &Config,
    clock: Clock,
    seed: u64,
) -> Result<Arc<dyn Bus>, BusError> {
    let backend = super::nats::connect(url, config, seed).await?;
    Ok(wrapped(backend, config, clock))
}

#[cfg(not(feature = "nats"))]
fn nats(
    url: &str,
    _config: &Config,
    _clock: Clock,
    _seed: u64,
) -> Ready<Result<Arc<dyn Bus>, BusError>> {
    ready(Err(url_error(url, "this build lacks the `nats` feature")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config {
            url: url.to_owned(),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_refused_without_its_password() {
        let error = connect(&config("redis://u:secret@host"), Clock::system(), 0).await;
        let error = error.unwrap_err();
        assert!(error.is_configuration());
        assert!(error.to_string().contains("redis"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_directory_is_open_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&format!("embedded:{}", directory.path().display()));
        let first = connect(&config, Clock::system(), 0).await.unwrap();
        let error = connect(&config, Clock::system(), 0).await.unwrap_err();
        assert!(error.is_configuration(), "{error}");
        assert!(error.to_string().contains("embedded:OTHER"), "{error}");
        first.close().await.unwrap();
        connect(&config, Clock::system(), 0).await.unwrap();
    }
}
