//! What lapin and the broker report, as something that the operator has to change or that another session may heal.
//!
//! Promise: AMQP's reply codes decide. The one place where a text has to be read is [`vhost_refusal`].

use lapin::{ErrorKind, protocol::AMQPError, uri::AMQPUri};

use crate::bus::{
    remote::{ConnectError, PermanentError, SessionError},
    tls::refusal,
};

/// Why there is no connection.
pub(super) fn connect_error(error: lapin::Error, uri: &AMQPUri) -> ConnectError {
    let permanent = match error.kind() {
        ErrorKind::IOError(io) => refusal(io.as_ref()),
        ErrorKind::ProtocolError(amqp) => match amqp.get_id() {
            403 => Some(PermanentError::refused(
                "the login was not accepted",
                "give the right user and password in the bus URL",
            )),
            530 => vhost_refusal(amqp, &uri.vhost),
            _ => None,
        },
        _ => None,
    };
    match permanent {
        Some(permanent) => permanent.caused_by(error).into(),
        None => SessionError::failed("the connection attempt", error).into(),
    }
}

/// The broker has one reply code, 530, for a virtual host that is down, one that does not exist and one that this user
/// may not use. Only the text tells them apart: `vhost 'NAME' is down`, `vhost NAME not found`, and any other.
fn vhost_refusal(amqp: &AMQPError, vhost: &str) -> Option<PermanentError> {
    let text = amqp.get_message().as_str();
    // One that is down comes back with its node.
    if text.contains(" down") {
        return None;
    }
    Some(if text.contains("not found") {
        PermanentError::refused(
            format!("there is no virtual host `{vhost}`"),
            format!(
                "make it with `rabbitmqctl add_vhost {vhost}`, or name another in the bus URL (`/%2f` is the default one)"
            ),
        )
    } else {
        PermanentError::refused(
            format!("this user may not use the virtual host `{vhost}`"),
            format!(
                "allow this user the virtual host `{vhost}` with `rabbitmqctl set_permissions`"
            ),
        )
    })
}

/// Why something of that name could not be declared.
pub(super) fn declaration_error(name: &str, error: lapin::Error) -> ConnectError {
    let code = match error.kind() {
        ErrorKind::ProtocolError(amqp) => Some(amqp.get_id()),
        _ => None,
    };
    let conflict = |reason: &str| {
        PermanentError::conflict(
            name,
            reason,
            "set `bus.topic_bytes_max` as it was, remove it by hand once it is drained, or set another `bus.prefix`",
        )
    };
    let permanent = match code {
        Some(405) => conflict("another connection has it for itself"),
        Some(406) => conflict("RabbitMQ does not take the declaration for the same"),
        Some(403) => PermanentError::refused(
            format!("this user may not declare `{name}`"),
            "allow this user to configure, write and read it with `rabbitmqctl set_permissions`",
        ),
        _ => return SessionError::failed(format!("the declaration of `{name}`"), error).into(),
    };
    permanent.caused_by(error).into()
}
