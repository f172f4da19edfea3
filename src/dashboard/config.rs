//! Settings of the page.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    error::{DashboardError, MaeMaxError},
    token::Token,
};
use crate::clock::Period;

/// Settings of the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `auto` (127.0.0.1:8080 for the whole pipeline, none for a single service), `off`, or an address to listen on.
    pub listen: String,
    /// What clients must send as `Authorization: Bearer TOKEN`; required for addresses outside the loopback interface.
    pub token: Option<Token>,
    /// A file with the token, for secrets that are mounted as files.
    pub token_file: Option<PathBuf>,
    /// Serve the page without a token to everybody who can reach the address; records over HTTP are refused then. Meant
    /// for containers whose port is published only on the host's loopback interface.
    pub public: bool,
    /// Most connections at a time; others wait.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, stay idle between two requests, or leave an answer unread.
    pub client_timeout: Period,
    /// Most open pages that get live updates at a time.
    pub streams_max: usize,
    /// Shortest time between two updates of a page, in milliseconds.
    pub update_ms: u64,
    /// When no new row came for this long, the stream counts as silent.
    pub silent_after: Period,
    /// An alert is raised while the mean absolute error of the last rows (at least 30 of them) is above this.
    pub mae_max: Option<f64>,
    /// Largest body of a request in bytes.
    pub body_bytes_max: usize,
    /// Most requests that may wait for the bus at a time; others are answered with status 429.
    pub posts_in_flight_max: usize,
    /// How long a request waits until the bus has confirmed its records, in milliseconds; then it is answered with 503.
    pub confirm_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "auto".to_owned(),
            token: None,
            token_file: None,
            public: false,
            connections_max: 256,
            client_timeout: Period::from_millis(10_000),
            streams_max: 32,
            update_ms: 500,
            silent_after: Period::from_millis(15_000),
            mae_max: None,
            body_bytes_max: 1 << 20,
            posts_in_flight_max: 32,
            confirm_ms: 10_000,
        }
    }
}

impl Config {
    /// Refuses a limit that cannot be meant.
    ///
    /// # Errors
    /// When `mae_max` is not a number above 0.
    pub fn check(&self) -> Result<(), MaeMaxError> {
        match self.mae_max {
            Some(limit) if !(limit > 0.0 && limit.is_finite()) => Err(MaeMaxError(limit)),
            _ => Ok(()),
        }
    }

    /// The token, from the settings or the file that they name.
    ///
    /// # Errors
    /// When the file cannot be read, or the token is empty.
    pub fn read_token(&self) -> Result<Option<Token>, DashboardError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, None) => return Ok(None),
            (None, Some(path)) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| DashboardError::TokenFile {
                        path: path.clone(),
                        source,
                    })?;
                Token::from(text.trim())
            }
        };
        if token.is_empty() {
            Err(DashboardError::EmptyToken)
        } else {
            Ok(Some(token))
        }
    }

    /// The address to listen on, if there is to be a page.
    #[must_use]
    pub fn address(&self, whole_pipeline: bool) -> Option<String> {
        match self.listen.as_str() {
            "off" => None,
            "auto" => whole_pipeline.then(|| "127.0.0.1:8080".to_owned()),
            address => Some(address.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_pipeline_has_a_page_by_itself() {
        let listening = |listen: &str, whole| {
            Config {
                listen: listen.to_owned(),
                ..Config::default()
            }
            .address(whole)
        };
        assert_eq!(listening("auto", true), Some("127.0.0.1:8080".to_owned()));
        assert_eq!(listening("auto", false), None);
        assert_eq!(listening("off", true), None);
        assert_eq!(listening("[::1]:9", false), Some("[::1]:9".to_owned()));
    }

    #[test]
    fn a_token_file_is_read_without_its_line_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let config = Config {
            token_file: Some(path.clone()),
            ..Config::default()
        };
        assert!(
            config
                .read_token()
                .unwrap_err()
                .to_string()
                .contains("token_file")
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(
            config.read_token(),
            Err(DashboardError::EmptyToken)
        ));
        std::fs::write(&path, "s3cret\n").unwrap();
        assert!(config.read_token().unwrap().unwrap().is("s3cret"));
    }
}
