//! TLS towards a broker: whom to trust and who we are, by PEM files.
//!
//! Promise: where `[bus.tls]` is set nothing is sent in the clear. The error about a file that cannot be used names the
//! file and the remedy. The files are read for every connection, so the next one uses a renewed certificate.
//!
//! Deliberately absent: switching the verification off; keys with a password.

#[cfg(all(feature = "tls", any(feature = "rabbitmq", feature = "nats")))]
mod handshake;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BusError, redact::redact};

#[cfg(all(feature = "tls", any(feature = "rabbitmq", feature = "nats")))]
pub(in crate::bus) use handshake::{client_config, refusal};

/// Files for a broker reached by `amqps://` or `tls://`; all are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificate authorities to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate with its chain, for brokers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// The key of our own certificate.
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    fn is_set(&self) -> bool {
        [&self.ca_file, &self.cert_file, &self.key_file]
            .iter()
            .any(|file| file.is_some())
    }

    /// Whether the URL, these settings and this build go together. The embedded bus has no use for TLS.
    ///
    /// # Errors
    /// [`BusError::Tls`] when something would be sent in the clear that must not be, or cannot be encrypted.
    pub(super) fn check(&self, url: &str, built_with_tls: bool) -> Result<(), BusError> {
        let encrypted = match url.split(':').next() {
            Some("amqps" | "tls") => true,
            Some("amqp" | "nats") => false,
            _ => return Ok(()),
        };
        let url = redact(url);
        match (encrypted, self.is_set()) {
            (true, _) if !built_with_tls => Err(refused(
                format!("this build has no TLS, and the bus is `{url}`"),
                "build it with `--features tls`",
            )),
            (false, true) => Err(refused(
                format!("`[bus.tls]` is set, and `{url}` would be reached in the clear"),
                "write the URL with `amqps://` or `tls://`, or remove `[bus.tls]`",
            )),
            _ => Ok(()),
        }
    }
}

fn refused(reason: String, remedy: &str) -> BusError {
    BusError::Tls {
        reason,
        remedy: remedy.to_owned(),
        source: None,
    }
}

/// In a build without TLS no error is about TLS.
#[cfg(all(not(feature = "tls"), any(feature = "rabbitmq", feature = "nats")))]
pub(in crate::bus) fn refusal(
    _error: &(dyn std::error::Error + 'static),
) -> Option<super::remote::PermanentError> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, ca_file: Option<&str>, built_with_tls: bool) -> Option<String> {
        let config = TlsConfig {
            ca_file: ca_file.map(PathBuf::from),
            ..TlsConfig::default()
        };
        let error = config.check(url, built_with_tls).err()?;
        assert!(error.is_configuration());
        Some(error.to_string())
    }

    #[test]
    fn a_build_without_tls_refuses_to_encrypt_and_says_how_to_build_one() {
        for url in ["amqps://me:secret@host", "tls://me:secret@host"] {
            let error = check(url, None, false).unwrap_or_default();
            assert!(error.contains("--features tls"), "{error}");
            assert!(!error.contains("secret"), "{error}");
            assert_eq!(check(url, None, true), None);
        }
    }

    #[test]
    fn with_tls_settings_nothing_goes_in_the_clear() {
        for url in ["amqp://host", "nats://host"] {
            let error = check(url, Some("ca.pem"), true).unwrap_or_default();
            assert!(error.contains("`amqps://` or `tls://`"), "{error}");
            assert_eq!(check(url, None, true), None);
        }
        assert_eq!(check("embedded:", Some("ca.pem"), true), None);
    }
}
