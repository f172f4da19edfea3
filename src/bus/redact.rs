//! Bus URLs without their secrets, for everything that is shown: errors, logs, pages.
//!
//! Deliberately absent: understanding the URL. It may be one that no backend accepts, and is still shown in the
//! refusal.

/// The URL with `***` in place of what could be a secret: the password, or the token of a NATS URL.
#[must_use]
pub fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        // A password may hold a slash that somebody forgot to escape: everything before the last @ is hidden.
        Some(end) if !rest[end..].contains('@') => rest.split_at(end),
        _ => (rest, ""),
    };
    let Some((secret, host)) = authority.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = match secret.split_once(':') {
        Some((user, _)) => format!("{user}:***"),
        None if scheme == "nats" || scheme == "tls" => "***".to_owned(),
        None => secret.to_owned(),
    };
    format!("{scheme}://{user}@{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left_in_a_redacted_url() {
        for (url, safe) in [
            (
                "amqp://user:secret@host:5672/vhost",
                "amqp://user:***@host:5672/vhost",
            ),
            ("amqp://user:se/cr@et@host/v", "amqp://user:***@host/v"),
            ("amqp://user:secret@host", "amqp://user:***@host"),
            ("nats://token@host:4222", "nats://***@host:4222"),
            ("nats://host:4222", "nats://host:4222"),
            ("embedded:/var/bus", "embedded:/var/bus"),
        ] {
            assert_eq!(redact(url), safe);
        }
    }
}
