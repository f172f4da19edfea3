//! The secret that opens the page from outside.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Config, DashboardError};

/// A secret; it is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Whether somebody showed this very token. The time it takes tells nothing about how much of it was right.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        same(&self.0, shown)
    }

    /// What a browser keeps instead of the token.
    pub(super) fn cookie(&self) -> String {
        let digest = Sha256::digest(format!("residual page {}", self.0));
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat()
    }

    pub(super) fn is_cookie(&self, shown: &str) -> bool {
        same(&self.cookie(), shown)
    }
}

/// Equal digests of a fixed length are compared to the end, whatever differs.
fn same(left: &str, right: &str) -> bool {
    let pairs = Sha256::digest(left).into_iter().zip(Sha256::digest(right));
    pairs.fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

impl From<&str> for Token {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Config {
    /// The token, from the settings or the file that they name.
    ///
    /// # Errors
    /// When the file cannot be read, or the token is empty.
    pub fn bearer(&self) -> Result<Option<Token>, DashboardError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, None) => return Ok(None),
            (None, Some(path)) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| DashboardError::TokenFile {
                        path: path.clone(),
                        source,
                    })?;
                Token(text.trim().to_owned())
            }
        };
        if token.0.is_empty() {
            Err(DashboardError::EmptyToken)
        } else {
            Ok(Some(token))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_only_and_stays_secret() {
        let token = Token::from("s3cret");
        assert!(token.is("s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert!(token.is_cookie(&token.cookie()) && !token.is(&token.cookie()));
        assert!(!format!("{token:?}").contains("s3cret"));
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
                .bearer()
                .unwrap_err()
                .to_string()
                .contains("token_file")
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(config.bearer(), Err(DashboardError::EmptyToken)));
        std::fs::write(&path, "s3cret\n").unwrap();
        assert!(config.bearer().unwrap().unwrap().is("s3cret"));
    }
}
