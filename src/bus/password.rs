//! The broker's password from a file, so that it stands in no command line, no environment and no settings file.
//!
//! Promise: what is read here goes into the URL that [`super::connect()`] hands to a backend, and nowhere else; no
//! error contains it. Deliberately absent: reading the file again later; a changed password is used from the next start
//! on.

use std::{
    io::{self, Read},
    path::Path,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{BusError, Config, redact::redact};

/// No password is longer; a larger file was named by mistake.
const BYTES_MAX: u64 = 4_096;

/// Everything but letters, digits and `-._~` is escaped, so that no password is mistaken for a part of the URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The URL of the settings, with the password of the file that they name, if they name one.
///
/// # Errors
/// [`BusError::PasswordFile`] when the file cannot be used, [`BusError::Url`] when the URL has no place for a password.
pub(super) fn with_password(config: &Config) -> Result<String, BusError> {
    let Some(path) = &config.password_file else {
        return Ok(config.url.clone());
    };
    let password = read(path)?;
    insert(&config.url, &password).map_err(|reason| BusError::Url {
        url: redact(&config.url),
        reason: reason.to_owned(),
        source: None,
    })
}

fn read(path: &Path) -> Result<String, BusError> {
    let refuse = |source: io::Error| BusError::PasswordFile {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(refuse)?;
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(refuse)?;
    let password = text.trim_end_matches(['\r', '\n']);
    let fault = if password.is_empty() {
        "it is empty"
    } else if text.len() as u64 > BYTES_MAX {
        "it is larger than 4096 bytes"
    } else if password.contains(['\r', '\n']) {
        "it has more than one line"
    } else {
        return Ok(password.to_owned());
    };
    Err(refuse(io::Error::new(io::ErrorKind::InvalidData, fault)))
}

fn insert(url: &str, password: &str) -> Result<String, &'static str> {
    let password = utf8_percent_encode(password, ESCAPED).to_string();
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("amqp" | "amqps") => insert_one(url, &password, |_| {
            Err("`bus.password_file` needs the user's name in the URL, as in `amqp://user@host`")
        }),
        Some("nats" | "tls") => insert_each(url, &password),
        _ => Err("only `amqp://…` and `nats://…` take a `bus.password_file`"),
    }
}

/// NATS knows lists of servers; without a user the secret is a token.
fn insert_each(url: &str, password: &str) -> Result<String, &'static str> {
    let (addresses, query) = match url.split_once('?') {
        Some((_, query)) if query.contains("creds=") || query.contains("nkey=") => {
            return Err(
                "it names a credentials file, and `bus.password_file` is another; keep one",
            );
        }
        Some((addresses, query)) => (addresses, format!("?{query}")),
        None => (url, String::new()),
    };
    let complete = addresses
        .split(',')
        .map(|address| insert_one(address.trim(), password, |token| Ok(token.to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(complete.join(",") + &query)
}

fn insert_one(
    address: &str,
    password: &str,
    without_user: impl FnOnce(&str) -> Result<String, &'static str>,
) -> Result<String, &'static str> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, host) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            return Err("it has a password, and `bus.password_file` gives another; keep one");
        }
        Some((user, host)) if !user.is_empty() => (format!("{user}:{password}"), host),
        Some((_, host)) => (without_user(password)?, host),
        None => (without_user(password)?, authority),
    };
    Ok(format!("{scheme}{login}@{host}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_takes_its_place_in_every_kind_of_url() {
        for (url, complete) in [
            (
                "amqp://me@host:5672/%2f?heartbeat=5",
                "amqp://me:p%40%2F%3A@host:5672/%2f?heartbeat=5",
            ),
            ("amqps://me@host", "amqps://me:p%40%2F%3A@host"),
            ("nats://me@host:4222", "nats://me:p%40%2F%3A@host:4222"),
            ("nats://host:4222", "nats://p%40%2F%3A@host:4222"),
            (
                "nats://me@a:1,nats://me@b:2",
                "nats://me:p%40%2F%3A@a:1,nats://me:p%40%2F%3A@b:2",
            ),
            ("tls://me@a,me@b", "tls://me:p%40%2F%3A@a,me:p%40%2F%3A@b"),
        ] {
            assert_eq!(insert(url, "p@/:").as_deref(), Ok(complete), "{url}");
        }
    }

    #[test]
    fn a_url_without_a_place_for_the_password_is_refused() {
        for (url, word) in [
            ("amqp://host", "user's name"),
            ("amqp://me:old@host", "keep one"),
            ("nats://me:old@host", "keep one"),
            ("nats://host?creds=/a.creds", "credentials"),
            ("embedded:", "only"),
            ("nonsense", "only"),
        ] {
            let reason = insert(url, "new").unwrap_err();
            assert!(reason.contains(word), "{url}: {reason}");
        }
    }

    fn completed(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, content).unwrap();
        let config = Config {
            url: "amqp://me@host".to_owned(),
            password_file: Some(path),
            ..Config::default()
        };
        with_password(&config).map_err(|error| {
            assert!(error.is_configuration());
            printed(&error)
        })
    }

    fn printed(error: &dyn std::error::Error) -> String {
        format!(
            "{error}: {}",
            error.source().map_or_else(String::new, ToString::to_string)
        )
    }

    #[test]
    fn the_line_feed_at_the_end_is_not_part_of_the_password() {
        for content in ["secret", "secret\n", "secret\r\n"] {
            assert_eq!(
                completed(content.as_bytes()).as_deref(),
                Ok("amqp://me:secret@host")
            );
        }
        assert_eq!(
            completed(b" se cret \n").as_deref(),
            Ok("amqp://me:%20se%20cret%20@host")
        );
    }

    #[test]
    fn a_file_that_holds_no_password_is_refused_by_name_and_its_content_is_not_told() {
        let long = "secret".repeat(1_000);
        for (content, word) in [
            (&b"\n"[..], "empty"),
            (b"secret\nsecret\n", "more than one line"),
            (long.as_bytes(), "larger"),
            (b"secret\xff", "UTF-8"),
        ] {
            let printed = completed(content).unwrap_err();
            assert!(
                printed.contains("bus.password_file") && printed.contains(word),
                "{printed}"
            );
            assert!(!printed.contains("secret"), "{printed}");
        }
    }
}
