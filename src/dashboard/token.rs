//! The secret that clients must show.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret; it is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Whether `shown` is this token. How long the comparison takes does not depend on how much of it is right.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        same(&self.0, shown)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a browser keeps in place of the token.
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

/// Compares in constant time. Digests of both sides have one length, so not even the length of the secret shows.
fn same(left: &str, right: &str) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    left.as_slice().ct_eq(right.as_slice()).into()
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
}
