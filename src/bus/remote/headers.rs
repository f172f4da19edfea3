//! Headers as broker headers: readable where the broker can carry them, exact in every case.
//!
//! Headers that a broker's own rules would change (line breaks, outer spaces, long names) travel together in one JSON
//! header.

use std::collections::BTreeMap;

/// Carries, as one JSON object, the headers that do not fit plainly.
const PACKED: &str = "residual-headers";

/// Splits headers into those that travel plainly and one packed header, if any is needed.
pub(in crate::bus) fn pack_headers(
    headers: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> {
    let (plain, odd): (BTreeMap<_, _>, BTreeMap<_, _>) = headers
        .clone()
        .into_iter()
        .partition(|(name, value)| is_plain_name(name) && is_plain_value(value));
    let packed = (!odd.is_empty())
        .then(|| serde_json::to_string(&odd).ok())
        .flatten()
        .map(|json| (PACKED.to_owned(), json));
    plain.into_iter().chain(packed)
}

/// Undoes [`pack_headers`]. A packed header that is not ours is kept as it is.
pub(in crate::bus) fn unpack_headers(
    carried: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut headers = carried.collect::<BTreeMap<_, _>>();
    let unpacked = headers
        .get(PACKED)
        .and_then(|json| serde_json::from_str::<BTreeMap<String, String>>(json).ok());
    if let Some(unpacked) = unpacked {
        headers.remove(PACKED);
        headers.extend(unpacked);
    }
    headers
}

fn is_plain_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() <= 100
        && name != PACKED
        && !name.starts_with("nats-")
        && !name.starts_with("x-")
        && name != "content-type"
        && name.bytes().all(plain)
}

fn is_plain_value(value: &str) -> bool {
    !value.is_empty()
        && value.trim() == value
        && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_headers_come_back_exactly(headers in proptest::collection::btree_map(".{0,20}", ".{0,20}", 0..5)) {
            prop_assert_eq!(unpack_headers(pack_headers(&headers)), headers);
        }
    }

    #[test]
    fn plain_headers_stay_readable() {
        let headers = BTreeMap::from([("traceparent".to_owned(), "00-ab-cd-01".to_owned())]);
        let carried = pack_headers(&headers).collect::<Vec<_>>();
        assert_eq!(
            carried,
            [("traceparent".to_owned(), "00-ab-cd-01".to_owned())]
        );
    }
}
