//! When a row of an old log was made, as far as its id shows it.

use crate::clock::UnixMs;

/// September 2001: a smaller number is a counter, not a time.
const EARLIEST_MS: UnixMs = 1_000_000_000_000;

/// The time inside an id: a `UUIDv7` has one, and ids of the original program are seconds with a fraction. A time in the
/// future is not believed.
pub(super) fn of(id: &str, now_ms: UnixMs) -> Option<UnixMs> {
    of_uuid(id)
        .or_else(|| of_seconds(id))
        .filter(|at_ms| (EARLIEST_MS..=now_ms).contains(at_ms))
}

fn of_uuid(id: &str) -> Option<UnixMs> {
    let bytes = id.as_bytes();
    let is_v7 = bytes.len() == 36 && bytes[8] == b'-' && bytes[13] == b'-' && bytes[14] == b'7';
    if !is_v7 || !id.is_ascii() {
        return None;
    }
    let high = UnixMs::from_str_radix(&id[..8], 16).ok()?;
    let low = UnixMs::from_str_radix(&id[9..13], 16).ok()?;
    Some(high << 16 | low)
}

fn of_seconds(id: &str) -> Option<UnixMs> {
    let (whole, fraction) = id.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let seconds: UnixMs = whole.parse().ok()?;
    let millis: UnixMs = fraction
        .bytes()
        .chain(*b"00")
        .take(3)
        .fold(0, |sum, digit| sum * 10 + UnixMs::from(digit - b'0'));
    seconds.checked_mul(1_000)?.checked_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_800_000_000_000;

    #[test]
    fn a_version_7_uuid_and_a_float_timestamp_tell_their_time() {
        assert_eq!(
            of("018bcfe5-6800-7000-8000-00000000abcd", NOW),
            Some(1_700_000_000_000)
        );
        assert_eq!(of("1731241829.788735", NOW), Some(1_731_241_829_788));
        assert_eq!(of("1731241829.7", NOW), Some(1_731_241_829_700));
    }

    #[test]
    fn other_ids_and_times_to_come_tell_nothing() {
        for id in [
            "1731241829",
            "3.5",
            "1731241829.",
            "9999999999.5",
            "018bcfe5-6800-4000-8000-00000000abcd",
            "öööööööö-ööö",
            "018bcfeé-6800-7000-8000-0000000abcd",
            "99999999999999999999999.5",
        ] {
            assert_eq!(of(id, NOW), None, "{id}");
        }
    }
}
