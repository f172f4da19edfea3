//! What must hold for any bytes whatever: the entry points of the fuzz targets.
//!
//! `tests/it/fuzz.rs` takes this file in and runs the same functions over damaged fixtures on the stable toolchain, so
//! what CI checks for a bounded time and what a fuzzer checks for hours is one thing. A function here panics when a promise is
//! broken; that bytes are refused is no finding.

use std::fs::{self, File};
use std::io::Write;

use residual::message::{
    Body, Encoding, Features, JSON, POSTCARD, POSTCARD_PROBABILITIES, Prediction, Truth, decode,
    encode,
};
use residual::metric_log::{HEADER, Reader, RowRef};

/// A frame is refused, or its good records go there and back unchanged.
///
/// # Panics
/// When a promise is broken.
pub fn frame(bytes: &[u8]) {
    for content_type in [POSTCARD, POSTCARD_PROBABILITIES, JSON] {
        there_and_back::<Features>(content_type, bytes);
        there_and_back::<Truth>(content_type, bytes);
        there_and_back::<Prediction>(content_type, bytes);
    }
}

fn there_and_back<B: Body + std::fmt::Debug>(content_type: &str, bytes: &[u8]) {
    let Ok(decoded) = decode::<B>(content_type, bytes) else {
        return;
    };
    if decoded.records.is_empty() {
        return;
    }
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let frame = encode(&decoded.records, encoding);
        match decode::<B>(frame.content_type, &frame.body) {
            Ok(again) => {
                // As text, because a missing feature is NaN and NaN equals nothing.
                assert_eq!(
                    format!("{:?}", again.records),
                    format!("{:?}", decoded.records)
                );
                assert!(again.malformed.is_empty());
            }
            Err(error) => panic!("{encoding:?}: {error}"),
        }
    }
}

/// A log gives the same rows, and the same complaint, whether it is read at once or while it grows.
///
/// # Panics
/// When a promise is broken.
pub fn metric_log(bytes: &[u8]) {
    let bytes = [HEADER.as_bytes(), b"\n", bytes].concat();
    let cuts: Vec<usize> = (0..4).map(|quarter| bytes.len() * quarter / 4).collect();
    let whole = read_in_steps(&bytes, &[0]);
    assert!(
        whole == read_in_steps(&bytes, &cuts),
        "rows differ when read in steps"
    );
}

/// What was shown, and whether it ended in a complaint.
fn read_in_steps(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, bool) {
    let folder = must(tempfile::tempdir());
    let path = folder.path().join("metric_log.csv");
    let mut reader = Reader::open(&path);
    let mut rows = vec![];
    let mut failed = false;
    for (index, start) in cuts.iter().enumerate() {
        let end = cuts.get(index + 1).copied().unwrap_or(bytes.len());
        let mut file: File = must(fs::OpenOptions::new().create(true).append(true).open(&path));
        must(file.write_all(&bytes[*start..end]));
        failed = reader
            .read_new(&mut |row: &RowRef<'_>| rows.push(format!("{row:?}")))
            .is_err();
    }
    (rows, failed)
}

/// The machine that fuzzes has a temporary folder.
fn must<T>(result: std::io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the temporary folder: {error}"),
    }
}
