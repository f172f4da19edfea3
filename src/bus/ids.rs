//! Message ids that are derived from something else: version 8 UUIDs out of SHA-256, the same for the same input.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// An id made from names, for a message that another program published without a UUID.
#[cfg(any(feature = "rabbitmq", feature = "nats"))]
pub(in crate::bus) fn named_id(names: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
    }
    uuid_of(hash)
}

/// A new id that is the same for the same message and purpose, so that a letter sent twice can be recognised.
pub(in crate::bus) fn derived_id(id: Uuid, purpose: &str, body: &[u8]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(id.as_bytes());
    hash.update(purpose.as_bytes());
    hash.update(body);
    uuid_of(hash)
}

fn uuid_of(hash: Sha256) -> Uuid {
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(feature = "rabbitmq", feature = "nats"))]
    #[test]
    fn the_same_names_give_the_same_id_and_others_another() {
        assert_eq!(named_id(&["a", "bc"]), named_id(&["a", "bc"]));
        assert_ne!(named_id(&["a", "bc"]), named_id(&["ab", "c"]));
    }

    #[test]
    fn a_derived_id_is_new_and_repeatable() {
        let id = Uuid::from_u128(1);
        let derived = derived_id(id, "dead", b"body");
        assert_ne!(derived, id);
        assert_eq!(derived, derived_id(id, "dead", b"body"));
        assert_ne!(derived, derived_id(id, "redrive", b"body"));
    }
}
