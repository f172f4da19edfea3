//! Undoes the compression that joblib offers: zlib, gzip, bz2, xz, lzma and lz4.
//!
//! Promise: output is read piece by piece and only up to a bound, so a decompression bomb costs no more than that. All decoders are
//! written in Rust.

use std::borrow::Cow;
use std::io::{self, Read};

use crate::error::ModelError;

/// Most bytes that any file may decompress to.
const OUTPUT_MAX: u64 = 1 << 30;
/// Bytes that any file may decompress to, however small it is.
const OUTPUT_FREE: u64 = 64 << 20;
/// Beyond that, bytes of output for each byte of input; fitted models compress about tenfold.
const RATIO_MAX: u64 = 200;
/// Most memory of the lzma and xz decoders in KiB, which the header of a file asks for. `xz -9` asks for 64 MiB.
const LZMA_KIB_MAX: u32 = 192 << 10;

/// The compression that the first bytes announce, if any.
pub(crate) fn compression(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [b'B', b'Z', b'h', ..] => Some("bz2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [0x5d, 0, 0, ..] => Some("lzma"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some("lz4"),
        // The two bytes of a zlib header, read as one number, are a multiple of 31.
        [0x78, second, ..] if (0x7800 + u16::from(*second)) % 31 == 0 => Some("zlib"),
        _ => None,
    }
}

/// The decompressed bytes; borrowed when they were not compressed.
pub(crate) fn decompress(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ModelError> {
    let max = (OUTPUT_FREE + RATIO_MAX * bytes.len() as u64).min(OUTPUT_MAX);
    match compression(bytes) {
        Some("gzip") => bounded(flate2::read::MultiGzDecoder::new(bytes), max),
        Some("zlib") => bounded(flate2::read::ZlibDecoder::new(bytes), max),
        Some("bz2") => bounded(bzip2::read::MultiBzDecoder::new(bytes), max),
        Some("xz") => bounded(
            lzma_rust2::XzReader::new_mem_limit(bytes, true, LZMA_KIB_MAX),
            max,
        ),
        Some("lzma") => {
            let reader = lzma_rust2::LzmaReader::new_mem_limit(bytes, LZMA_KIB_MAX, None);
            bounded(reader.map_err(damaged)?, max)
        }
        Some("lz4") => bounded(lz4_flex::frame::FrameDecoder::new(bytes), max),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

fn damaged(source: io::Error) -> ModelError {
    if source.kind() == io::ErrorKind::OutOfMemory {
        return ModelError::Limit {
            what: "KiB to decompress it",
            max: LZMA_KIB_MAX.into(),
        };
    }
    ModelError::Compressed { source }
}

fn bounded<'a>(reader: impl Read, max: u64) -> Result<Cow<'a, [u8]>, ModelError> {
    let mut output = Vec::new();
    reader
        .take(max + 1)
        .read_to_end(&mut output)
        .map_err(damaged)?;
    if output.len() as u64 > max {
        return Err(ModelError::Limit {
            what: "uncompressed bytes",
            max,
        });
    }
    Ok(Cow::Owned(output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
        for _ in 0..80 {
            encoder.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 100_000);
        let error = decompress(&bomb).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::Limit {
                    what: "uncompressed bytes",
                    ..
                }
            ),
            "{error}"
        );
    }

    /// The header of an xz file whose block asks for a dictionary of 4 GiB.
    fn greedy_xz() -> Vec<u8> {
        let with_checksum = |bytes: &[u8]| {
            let mut checksum = flate2::Crc::new();
            checksum.update(bytes);
            [bytes, &checksum.sum().to_le_bytes()].concat()
        };
        [
            &b"\xfd7zXZ\0"[..],
            &with_checksum(&[0, 4]),
            &with_checksum(&[2, 0, 0x21, 1, 40, 0, 0, 0]),
            b"\x01\0\0a",
        ]
        .concat()
    }

    #[test]
    fn a_dictionary_that_is_only_asked_for_is_not_allocated() {
        // Properties, dictionary size, unknown length.
        let greedy_lzma = b"\x5d\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0";
        for bytes in [&greedy_xz()[..], greedy_lzma] {
            let error = decompress(bytes).unwrap_err();
            assert!(
                error.to_string().contains("KiB to decompress it"),
                "{error}"
            );
        }
    }

    #[test]
    fn damaged_compressed_data_is_refused_as_damaged() {
        for head in [
            &b"\x1f\x8b\x08\0garbage"[..],
            b"\x78\x9cgarbage",
            b"BZhgarbage",
            b"\xfd7zXZ\0garbage",
            b"\x5d\0\0\x80\0garbage",
            b"\x04\x22\x4d\x18garbage",
        ] {
            let error = decompress(head).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{error}");
        }
        assert_eq!(
            decompress(b"\x80\x04N.").unwrap(),
            Cow::Borrowed(b"\x80\x04N.")
        );
    }
}
