//! What the client and the server report, as errors of a session or as something that the operator has to change.
//!
//! Promise: the client's own kinds and the server's error codes decide. The two places where there is neither, and a
//! text has to be read, are [`is_permissions_violation`] and [`ends_the_consumer`].

use async_nats::{
    ConnectErrorKind, Event, ServerError, StatusCode,
    jetstream::{
        self,
        context::{PublishError, PublishErrorKind, RequestError},
    },
};

use crate::bus::{
    remote::{Answer, ConnectError, PermanentError, SessionError, SessionErrorKind},
    tls::refusal,
};

/// What the server reported on its own, which the client hands out as a value and not as an error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct ServerReport(ServerError);

/// A status in place of a message, in answer to a pull.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status} {description}")]
struct PullStatus {
    status: StatusCode,
    description: String,
}

/// The error that an event of the connection means for its session, if any. Such a session ends; the link opens
/// another.
pub(super) fn event_error(event: &Event) -> Option<SessionError> {
    use SessionErrorKind::{Ended, Failed, Forbidden, Lost};
    Some(match event {
        Event::Disconnected => SessionError::new(Lost, "the connection"),
        Event::Closed => SessionError::new(Ended, "the connection"),
        Event::SlowConsumer(_) => SessionError::new(Failed, "a subscription that overflowed"),
        Event::ServerError(error) => {
            let (kind, operation) = if is_permissions_violation(error) {
                (Forbidden, "a subject")
            } else {
                (Failed, "the connection")
            };
            SessionError::new(kind, operation).caused_by(ServerReport(error.clone()))
        }
        Event::Connected | Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {
            return None;
        }
    })
}

/// Whether the server forbids this user a subject. The client has no kind for it: the server's line is
/// `Permissions Violation for Publish to "SUBJECT"` (or `Subscription to`), in every version so far.
fn is_permissions_violation(error: &ServerError) -> bool {
    let ServerError::Other(text) = error else {
        return false;
    };
    text.to_lowercase().contains("permissions violation")
}

/// Whether a status 409 says that the consumer cannot be pulled from any more; others of that status pass by
/// themselves. The protocol tells them apart by the description alone.
pub(super) fn ends_the_consumer(description: &str) -> bool {
    ["Deleted", "Shutdown", "Leadership", "push"]
        .iter()
        .any(|word| description.contains(word))
}

/// A pull that was answered by that status cannot go on.
pub(super) fn pull_error(status: StatusCode, description: &str) -> SessionError {
    let description = description.to_owned();
    SessionError::failed(
        "the pull",
        PullStatus {
            status,
            description,
        },
    )
}

pub(super) fn connect_error(error: async_nats::ConnectError) -> ConnectError {
    if let Some(refusal) = refusal(&error) {
        return refusal.caused_by(error).into();
    }
    let refused = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            PermanentError::refused(
                "the login was not accepted",
                "give the right user and password, token, `?creds=FILE` or `?nkey=FILE` in the bus URL",
            )
        }
        ConnectErrorKind::Tls => PermanentError::refused(
            "the TLS handshake failed",
            "name the host as the server's certificate does, and its authority by `bus.tls.ca_file`",
        ),
        _ => return SessionError::failed("the connection attempt", error).into(),
    };
    refused.caused_by(error).into()
}

/// A forbidden request is never answered; the server's report about it came as an event, and explains the timeout.
pub(super) fn forbidden(report: SessionError) -> ConnectError {
    PermanentError::refused(
        "this user may not use a subject that is needed",
        "allow this user `$JS.API.>`, `$JS.ACK.>`, `_INBOX.>` and the topics' subjects",
    )
    .caused_by(report)
    .into()
}

/// A JetStream request that was not answered. Where the server said at the start that it has no JetStream, nobody will
/// ever answer.
pub(super) fn request_error(
    subject: &str,
    error: RequestError,
    has_jetstream: bool,
) -> ConnectError {
    let error = SessionError::failed(format!("the request `{subject}`"), error);
    if has_jetstream {
        error.into()
    } else {
        no_jetstream().caused_by(error).into()
    }
}

fn no_jetstream() -> PermanentError {
    PermanentError::refused(
        "JetStream is not enabled",
        "start nats-server with `-js`, or enable JetStream for this account",
    )
}

/// What JetStream answered to the declaration of a stream or consumer, by its error code.
pub(super) fn declaration_error(name: &str, error: jetstream::Error) -> ConnectError {
    let conflict = |reason: &str| {
        PermanentError::conflict(
            name,
            reason,
            "remove it by hand once it is drained, or set another `bus.prefix`",
        )
    };
    let permanent = match error.error_code().0 {
        10_039 | 10_076 => no_jetstream(),
        10_058 => conflict("there is a stream of that name"),
        10_065 => conflict("another stream takes its subject"),
        10_012 | 10_013 => conflict("there is a consumer of that name"),
        10_002 | 10_023 | 10_028 | 10_047 | 10_026 | 10_027 => PermanentError::refused(
            format!("there is no room to create `{name}`"),
            "give JetStream more storage or more streams, or lower `bus.topic_bytes_max`",
        ),
        _ => return SessionError::failed(format!("the declaration of `{name}`"), error).into(),
    };
    permanent.caused_by(error).into()
}

/// What became of a message that was not stored.
pub(super) fn publish_answer(error: PublishError) -> Answer {
    match error.kind() {
        PublishErrorKind::TimedOut => Answer::TimedOut,
        // The broker answered: no room, no storage, not now. Asking again later loses nothing.
        PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => {
            Answer::Full(SessionError::failed("publishing", error))
        }
        _ => Answer::Failed(SessionError::failed("publishing", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_subject_is_told_from_other_reports_of_the_server() {
        let kind = |text: &str| {
            let event = Event::ServerError(ServerError::Other(text.to_owned()));
            event_error(&event).map(|error| error.kind())
        };
        let forbidden = r#"Permissions Violation for Publish to "$JS.API.INFO""#;
        assert_eq!(kind(forbidden), Some(SessionErrorKind::Forbidden));
        assert_eq!(kind("Stale Connection"), Some(SessionErrorKind::Failed));
        assert!(event_error(&Event::LameDuckMode).is_none());
    }
}
