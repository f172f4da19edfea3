//! Pickles written by hand. `tests/it` of the root package takes this file in, too.

/// A short string.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let mut bytes = vec![0x8c, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// `module.name(argument)` in protocol 4.
pub(crate) fn call(module: &str, name: &str, argument: &str) -> Vec<u8> {
    [
        &b"\x80\x04"[..],
        &text(module),
        &text(name),
        b"\x93",
        &text(argument),
        b"\x85R.",
    ]
    .concat()
}
