//! Reads opcode arguments from a byte slice; a length is believed only when that many bytes are really there.

use super::graph::Span;
use crate::error::ModelError;

/// A place in the input.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.input.len()
    }

    pub(super) fn fail(&self, problem: impl Into<String>) -> ModelError {
        ModelError::Pickle {
            offset: self.at,
            problem: problem.into(),
        }
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], ModelError> {
        let left = self.input.len() - self.at;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                let bytes = &self.input[self.at..self.at + len];
                self.at += len;
                Ok(bytes)
            }
            _ => Err(self.fail(format!(
                "the file ends early: {len} bytes are announced, {left} are left"
            ))),
        }
    }

    /// The next `len` bytes, as a place.
    pub(super) fn span(&mut self, len: u64) -> Result<Span, ModelError> {
        let start = self.at;
        let len = self.take(len)?.len();
        match (u32::try_from(start), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Ok(Span {
                start,
                len,
                decoded: false,
            }),
            _ => Err(self.fail("the file is larger than 4 GiB")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ModelError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, ModelError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ModelError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ModelError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Up to the next line feed, which is eaten: the argument of a text opcode.
    pub(super) fn line(&mut self) -> Result<&'a [u8], ModelError> {
        let rest = &self.input[self.at..];
        let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.fail("the file ends inside a text argument"));
        };
        self.at += len + 1;
        Ok(&rest[..len])
    }

    /// [`Self::line`] as ASCII or UTF-8 text.
    pub(super) fn text_line(&mut self) -> Result<&'a str, ModelError> {
        let line = self.line()?;
        std::str::from_utf8(line).map_err(|_| self.fail("a text argument is not UTF-8"))
    }
}
