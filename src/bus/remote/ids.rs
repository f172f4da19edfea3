//! Ids for messages that other programs published without a UUID.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A version 8 id made from names: the same names give the same id.
pub(in crate::bus) fn named_id(names: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_give_the_same_id_and_others_another() {
        assert_eq!(named_id(&["a", "bc"]), named_id(&["a", "bc"]));
        assert_ne!(named_id(&["a", "bc"]), named_id(&["ab", "c"]));
    }
}
