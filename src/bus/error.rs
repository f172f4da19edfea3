//! What can go wrong on a bus, by meaning and not by backend.
//!
//! What passes by itself (a lost link, a full window) never leaves a backend: it waits and resumes. What is left here
//! needs a person: a wrong setting, a message that can never fit, a bus that was closed. Every cause is kept, to the
//! bottom of the chain.

use std::{error::Error as StdError, io, path::PathBuf, sync::Arc};

/// The cause of an error, shared: one outage is reported to everybody who waits for its end.
pub type Cause = Arc<dyn StdError + Send + Sync>;

/// An error of the bus seam.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus URL is not one of ours.
    #[error(
        "bus `{url}` is not understood: {reason}; use `embedded:`, `embedded:PATH`, `amqp://…` or `nats://…`"
    )]
    Url {
        /// The URL as given, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Cause>,
    },
    /// The file that holds the broker's password cannot be used.
    #[error("`bus.password_file` `{}` cannot be used; it must hold the password in one line and be readable for this user", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The broker answered and refused: credentials, permissions, a missing vhost, JetStream switched off.
    #[error("broker refused: {reason}; {remedy}")]
    Refused {
        /// What it refused.
        reason: String,
        /// What the operator can do.
        remedy: String,
        /// What the broker said, where it said anything.
        #[source]
        source: Option<Cause>,
    },
    /// TLS cannot be spoken as it is set up.
    #[error("TLS is not possible: {reason}; {remedy}")]
    Tls {
        /// The file that cannot be used, or how the handshake failed.
        reason: String,
        /// What the operator can do.
        remedy: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Cause>,
    },
    /// Something of that name exists with other settings. It is never repaired by deletion.
    #[error("`{name}` exists on the broker with other settings: {reason}; {remedy}")]
    Conflict {
        /// Queue, exchange, stream or consumer.
        name: String,
        /// The difference, as far as it is known.
        reason: String,
        /// What the operator can do.
        remedy: String,
        /// What the broker said, where it was the broker that compared.
        #[source]
        source: Option<Cause>,
    },
    /// A topic or group that the declared topology does not have.
    #[error("`{name}` is not in the declared topology")]
    Undeclared {
        /// The topic, or `topic.group`.
        name: String,
    },
    /// The message is larger than this bus can carry. Nothing was sent.
    #[error("message of {size} bytes is larger than the {max} bytes that the bus carries")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest allowed size in bytes.
        max: usize,
    },
    /// The bus, publisher or consumer was closed.
    #[error("the bus is closed")]
    Closed,
    /// The durable store of the embedded broker failed, for instance because the disk is full.
    #[error("bus store failed: {context}")]
    Store {
        /// What was being done.
        context: String,
        /// The cause.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Anything that should not happen; the cause shows what did.
    #[error("bus failed: {context}")]
    Fatal {
        /// What was being done.
        context: String,
        /// The cause.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl BusError {
    /// Whether the operator has to change a setting, on our side or the broker's: exit code 2, no retry.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::PasswordFile { .. }
                | Self::Refused { .. }
                | Self::Tls { .. }
                | Self::Conflict { .. }
        )
    }
}
