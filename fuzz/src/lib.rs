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
use residual::model::{self, Model, Rows};

/// Wider models are opened and not asked.
const WIDTH_MAX: usize = 1_000;

/// A pickle is refused, or predicts; then its converted file predicts the same to the last bit.
///
/// # Panics
/// When a promise is broken, as every function here.
pub fn pickle(bytes: &[u8]) {
    let Ok(model) = model::open_bytes("a pickle", bytes) else {
        return;
    };
    let converted = model::convert(bytes, "a pickle");
    // A converted file is no pickle, and converting it again may not lose anything either.
    let Ok(converted) = converted else {
        panic!("a model that opens cannot be converted");
    };
    let Ok(again) = model::open_bytes("a converted file", &converted) else {
        panic!("a converted file does not open");
    };
    assert_eq!(model.info().class, again.info().class);
    assert!(answers(&model) == answers(&again), "predictions differ");
}

/// The same for joblib's files, which may be compressed.
///
/// # Panics
/// When a promise is broken.
pub fn joblib(bytes: &[u8]) {
    pickle(bytes);
}

/// A converted file is refused or predicts; the length before its metadata is mended first, or hardly any would be read.
pub fn store(bytes: &[u8]) {
    probe(bytes);
    let Some(rest) = bytes.get(8..) else { return };
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<serde_json::Value>();
    if values.next().is_some_and(|value| value.is_ok()) {
        let mut mended = (values.byte_offset() as u64).to_le_bytes().to_vec();
        mended.extend_from_slice(rest);
        probe(&mended);
    }
}

fn probe(bytes: &[u8]) {
    if let Ok(model) = model::open_bytes("a converted file", bytes) {
        answers(&model);
    }
}

/// Bits of all the model says about a few rows; a refusal is an answer, too.
fn answers(model: &Model) -> Vec<Option<Vec<u64>>> {
    let width = model.info().n_features;
    if width == 0 || width > WIDTH_MAX {
        return vec![];
    }
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
    let value = |row: usize, column: usize| match (row + column) % 5 {
        0 => 0.5,
        1 => -3.0,
        2 => 1e30,
        3 if row == 9 => f64::NAN,
        _ => 2.0,
    };
    // More than one block of the tree walker, and a rest.
    let n_rows = 10;
    let values = (0..n_rows).flat_map(|row| (0..width).map(move |column| value(row, column)));
    let Ok(rows) = Rows::new(width, values.collect()) else {
        panic!("{n_rows} rows of {width} are no rows");
    };
    let labels = model.predict(&rows);
    if let Ok(labels) = &labels {
        assert_eq!(labels.len(), n_rows);
    }
    let proba = model.predict_proba(&rows).and_then(Result::ok);
    vec![
        labels.ok().map(bits),
        proba.map(|rows| bits(rows.into_values())),
    ]
}

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
