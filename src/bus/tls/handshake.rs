//! From the files to a rustls configuration, and what a failed handshake means.

use std::{error::Error as StdError, io, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, Error as TlsError, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use super::TlsConfig;
use crate::bus::remote::{ConnectError, PermanentError, SessionError};

/// Reads the files.
///
/// # Errors
/// Which file cannot be used, and why.
pub(in crate::bus) async fn client_config(
    config: &TlsConfig,
) -> Result<Arc<ClientConfig>, ConnectError> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || read(&config)).await;
    match read {
        Ok(read) => read.map_err(ConnectError::from),
        Err(error) => Err(SessionError::failed("reading the TLS files", error).into()),
    }
}

/// Why a file of `[bus.tls]` cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it holds no certificate")]
    Empty,
    #[error("it is not a readable PEM file")]
    Pem(#[source] pem::Error),
    #[error("it holds a certificate that is not understood")]
    Certificate(#[source] TlsError),
}

fn read(config: &TlsConfig) -> Result<Arc<ClientConfig>, PermanentError> {
    let roots = match &config.ca_file {
        Some(file) => own_authorities(file)?,
        None => system_authorities()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            PermanentError::tls(
                "this build knows no version of it",
                "report this as a fault of residual",
            )
            .caused_by(error)
        })?
        .with_root_certificates(roots);
    let client = match (&config.cert_file, &config.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert_file), Some(key_file)) => builder
            .with_client_auth_cert(certificates("cert_file", cert_file)?, key(key_file)?)
            .map_err(|error| {
                PermanentError::tls(
                    "`bus.tls.cert_file` and `bus.tls.key_file` do not fit",
                    "give the key that belongs to the certificate",
                )
                .caused_by(error)
            })?,
        _ => {
            return Err(PermanentError::tls(
                "only one of `bus.tls.cert_file` and `bus.tls.key_file` is set",
                "set both or neither; both may name the same file",
            ));
        }
    };
    Ok(Arc::new(client))
}

fn own_authorities(file: &Path) -> Result<RootCertStore, PermanentError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable("ca_file", file, FileError::Certificate(error)))?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, PermanentError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that is not understood verifies nothing; the others still do.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = PermanentError::tls(
            "this system has no certificate authorities",
            "install `ca-certificates`, or set `bus.tls.ca_file`",
        );
        return Err(match found.errors.into_iter().next() {
            Some(cause) => error.caused_by(cause),
            None => error,
        });
    }
    Ok(roots)
}

fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, PermanentError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(key, file, FileError::Empty)),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(key, file, FileError::Pem(error))),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, PermanentError> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| unusable("key_file", file, FileError::Pem(error)))
}

fn unusable(key: &str, file: &Path, error: FileError) -> PermanentError {
    PermanentError::tls(
        format!(
            "`bus.tls.{key}` is `{}`, which cannot be used",
            file.display()
        ),
        "name a readable PEM file",
    )
    .caused_by(error)
}

/// What the operator has to change, if the error is a handshake that no second try can save. The caller adds the cause.
pub(in crate::bus) fn refusal(error: &(dyn StdError + 'static)) -> Option<PermanentError> {
    let (reason, remedy) = match tls_error(error)? {
        TlsError::InvalidCertificate(_) => (
            "the broker's certificate is not accepted",
            "set `bus.tls.ca_file` to the authority that signed the broker's certificate, and name the host as the certificate does",
        ),
        TlsError::AlertReceived(_) => (
            "the broker broke off the handshake",
            "set `bus.tls.cert_file` and `bus.tls.key_file` to a certificate that the broker accepts",
        ),
        TlsError::InvalidMessage(_) => (
            "the broker does not answer in TLS",
            "name the port on which the broker speaks TLS (RabbitMQ's is 5671), or use `amqp://` or `nats://`",
        ),
        TlsError::PeerIncompatible(_) => (
            "the broker offers no version of it that we speak",
            "let the broker speak TLS 1.2 or 1.3",
        ),
        _ => return None,
    };
    Some(PermanentError::tls(reason, remedy))
}

/// The rustls error in a chain. An [`io::Error`] is not the source of what it wraps, so it is looked into.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a TlsError> {
    if let Some(found) = error.downcast_ref::<TlsError>() {
        return Some(found);
    }
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn StdError + 'static));
    wrapped.or_else(|| error.source()).and_then(tls_error)
}
