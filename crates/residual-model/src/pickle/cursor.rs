//! Reads the arguments of opcodes; a length is believed only when that many bytes are really there.

use super::error::StreamError;
use super::graph::Span;
use crate::error::ModelError;

/// A position in the input.
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

    /// An error at this position.
    pub(super) fn error(&self, error: impl Into<StreamError>) -> ModelError {
        ModelError::Pickle {
            offset: self.at,
            source: Box::new(error.into()),
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
            _ => Err(self.error(StreamError::EndsEarly {
                announced: len,
                left,
            })),
        }
    }

    /// The next `len` bytes, as a range of the input.
    pub(super) fn span(&mut self, len: u64) -> Result<Span, ModelError> {
        let start = self.at;
        let len = self.take(len)?.len();
        match (u32::try_from(start), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Ok(Span {
                start,
                len,
                decoded: false,
            }),
            _ => Err(self.error(StreamError::TooLarge)),
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

    /// A length of one byte.
    pub(super) fn len1(&mut self) -> Result<u64, ModelError> {
        self.u8().map(u64::from)
    }

    /// A length of four bytes.
    pub(super) fn len4(&mut self) -> Result<u64, ModelError> {
        self.array().map(u32::from_le_bytes).map(u64::from)
    }

    /// A length of eight bytes.
    pub(super) fn len8(&mut self) -> Result<u64, ModelError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes up to the next line feed, which is skipped: the argument of a text opcode.
    pub(super) fn line(&mut self) -> Result<&'a [u8], ModelError> {
        let rest = &self.input[self.at..];
        let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.error(StreamError::EndsInsideLine));
        };
        self.at += len + 1;
        Ok(&rest[..len])
    }

    /// [`Self::line`] as ASCII or UTF-8 text.
    pub(super) fn text_line(&mut self) -> Result<&'a str, ModelError> {
        let line = self.line()?;
        std::str::from_utf8(line).map_err(|_| self.error(StreamError::ArgumentNotUtf8))
    }
}
