//! The two ways in which protocol 0 escapes strings.

/// A string as `repr` of Python 2 writes it, with its quotes.
pub(super) fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let quote = *line.first()?;
    if line.len() < 2 || !matches!(quote, b'\'' | b'"') || line.last() != Some(&quote) {
        return None;
    }
    let mut rest = line[1..line.len() - 1].iter().copied();
    let mut bytes = Vec::with_capacity(line.len());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'x' => hex(&mut rest, 2).and_then(|value| u8::try_from(value).ok())?,
            other => other,
        });
    }
    Some(bytes)
}

/// `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode_escape(line: &[u8]) -> Option<String> {
    let mut rest = line.iter().copied().peekable();
    let mut text = String::with_capacity(line.len());
    while let Some(byte) = rest.next() {
        let digits = match (byte, rest.peek()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(byte));
                continue;
            }
        };
        rest.next();
        text.push(char::from_u32(hex(&mut rest, digits)?)?);
    }
    Some(text)
}

fn hex(bytes: &mut impl Iterator<Item = u8>, digits: u32) -> Option<u32> {
    (0..digits).try_fold(0, |value, _| {
        Some(value * 16 + char::from(bytes.next()?).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_protocol_0_give_the_text_python_wrote() {
        assert_eq!(
            raw_unicode_escape(b"a\\u005cb\xe9\\U0001F600").as_deref(),
            Some("a\\b\u{e9}\u{1f600}")
        );
        assert_eq!(quoted(b"'a\\'\\n\\x41'").as_deref(), Some(&b"a'\nA"[..]));
        assert_eq!(quoted(b"'open"), None);
        assert_eq!(raw_unicode_escape(b"\\u12"), None);
    }
}
