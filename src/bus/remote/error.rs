//! What ends a session, and what keeps one from being opened.
//!
//! Promise: the type says whether another try can help, and no text is looked at for it. After a [`SessionError`] the
//! link opens another session; a [`PermanentError`] needs the operator and reaches the caller as a [`BusError`]. Each
//! keeps what the client library reported, down to the last cause.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::bus::{BusError, Cause};

/// Why a session is of no use any more. Reads as a sentence: the operation is its subject, the kind its predicate.
#[derive(Clone, Debug)]
pub(in crate::bus) struct SessionError {
    kind: SessionErrorKind,
    operation: Cow<'static, str>,
    source: Option<Cause>,
}

/// What happened to the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum SessionErrorKind {
    /// It is over, as the connection or something on it went away.
    Lost,
    /// The broker took back what it had granted, such as a consumer.
    Ended,
    /// No answer came in time.
    TimedOut(Duration),
    /// The client or the broker answered with an error: the source.
    Failed,
    /// Something that was declared does not exist any more.
    #[cfg(feature = "nats")]
    Missing,
    /// The broker does not let this user do it.
    #[cfg(feature = "nats")]
    Forbidden,
    /// The broker sent something that the protocol does not have.
    #[cfg(feature = "nats")]
    Malformed,
    /// We closed it.
    Closed,
}

impl fmt::Display for SessionErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("was lost"),
            Self::Ended => f.write_str("was ended by the broker"),
            Self::TimedOut(limit) => write!(f, "was not answered within {} s", limit.as_secs()),
            Self::Failed => f.write_str("failed"),
            #[cfg(feature = "nats")]
            Self::Missing => f.write_str("is gone"),
            #[cfg(feature = "nats")]
            Self::Forbidden => f.write_str("is not permitted"),
            #[cfg(feature = "nats")]
            Self::Malformed => f.write_str("is not understood"),
            Self::Closed => f.write_str("is closed"),
        }
    }
}

impl SessionError {
    /// An error without a cause of its own.
    pub(in crate::bus) fn new(
        kind: SessionErrorKind,
        operation: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            operation: operation.into(),
            source: None,
        }
    }

    /// The operation failed with that error.
    pub(in crate::bus) fn failed(
        operation: impl Into<Cow<'static, str>>,
        error: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::new(SessionErrorKind::Failed, operation).caused_by(error)
    }

    /// The same with that cause.
    pub(in crate::bus) fn caused_by(self, error: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            source: Some(cause(error)),
            ..self
        }
    }

    #[cfg(feature = "nats")]
    pub(in crate::bus) fn kind(&self) -> SessionErrorKind {
        self.kind
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.kind)
    }
}

impl StdError for SessionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// Why a session could not be opened or a topology not be declared.
#[derive(Clone, Debug)]
pub(in crate::bus) enum ConnectError {
    /// May heal by itself.
    Transient(SessionError),
    /// Needs the operator.
    Permanent(PermanentError),
}

impl From<SessionError> for ConnectError {
    fn from(error: SessionError) -> Self {
        Self::Transient(error)
    }
}

impl From<PermanentError> for ConnectError {
    fn from(error: PermanentError) -> Self {
        Self::Permanent(error)
    }
}

/// An error that time does not heal. It is cloned for everybody who waits for the link.
#[derive(Clone, Debug)]
pub(in crate::bus) struct PermanentError {
    kind: PermanentErrorKind,
    reason: String,
    remedy: String,
    source: Option<Cause>,
}

#[derive(Clone, Debug)]
enum PermanentErrorKind {
    /// See [`BusError::Refused`].
    Refused,
    /// See [`BusError::Tls`].
    #[cfg(feature = "tls")]
    Tls,
    /// See [`BusError::Conflict`].
    Conflict { name: String },
}

impl PermanentError {
    /// The broker refused: what, in our words, and what the operator can do.
    pub(in crate::bus) fn refused(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(PermanentErrorKind::Refused, reason, remedy)
    }

    /// TLS cannot be spoken.
    #[cfg(feature = "tls")]
    pub(in crate::bus) fn tls(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(PermanentErrorKind::Tls, reason, remedy)
    }

    /// Something of that name exists and is not as we would declare it.
    pub(in crate::bus) fn conflict(
        name: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let kind = PermanentErrorKind::Conflict { name: name.into() };
        Self::new(kind, reason, remedy)
    }

    fn new(kind: PermanentErrorKind, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            remedy: remedy.into(),
            source: None,
        }
    }

    /// The same with that cause.
    pub(in crate::bus) fn caused_by(self, error: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            source: Some(cause(error)),
            ..self
        }
    }

    /// Whether a broker that is still starting may report this, and let us in a little later.
    pub(in crate::bus) fn may_pass_at_a_restart(&self) -> bool {
        !matches!(self.kind, PermanentErrorKind::Conflict { .. })
    }
}

impl From<PermanentError> for BusError {
    fn from(error: PermanentError) -> Self {
        let PermanentError {
            kind,
            reason,
            remedy,
            source,
        } = error;
        match kind {
            PermanentErrorKind::Refused => Self::Refused {
                reason,
                remedy,
                source,
            },
            #[cfg(feature = "tls")]
            PermanentErrorKind::Tls => Self::Tls {
                reason,
                remedy,
                source,
            },
            PermanentErrorKind::Conflict { name } => Self::Conflict {
                name,
                reason,
                remedy,
                source,
            },
        }
    }
}

fn cause(error: impl StdError + Send + Sync + 'static) -> Cause {
    Arc::new(WithoutCause(error))
}

/// An error whose text leaves out its cause. Both client libraries write `error: cause` and give the cause as the
/// source as well, so that whoever prints the whole chain would have it twice.
#[derive(Debug)]
struct WithoutCause<E>(E);

impl<E: StdError> fmt::Display for WithoutCause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let cause = self.0.source().map(|cause| format!(": {cause}"));
        let own = cause.and_then(|cause| text.strip_suffix(&cause));
        f.write_str(own.unwrap_or(&text))
    }
}

impl<E: StdError> StdError for WithoutCause<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::telemetry::with_causes;

    /// As async-nats and lapin write theirs.
    #[derive(Debug, thiserror::Error)]
    #[error("IO error: {0}")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn each_cause_is_kept_and_printed_once() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens");
        let error = SessionError::failed("the connection attempt", Repeating(refused));
        assert_eq!(
            with_causes(&error),
            "the connection attempt failed: IO error: nobody listens"
        );
        let permanent = PermanentError::refused("no", "do this").caused_by(error);
        assert_eq!(
            with_causes(&BusError::from(permanent)),
            "broker refused: no; do this: the connection attempt failed: IO error: nobody listens"
        );
    }

    #[test]
    fn a_timeout_names_its_limit() {
        let kind = SessionErrorKind::TimedOut(Duration::from_secs(10));
        assert_eq!(
            SessionError::new(kind, "the settlement").to_string(),
            "the settlement was not answered within 10 s"
        );
    }
}
