//! What must hold for any bytes that claim to be a model: the entry points of the fuzz targets.
//!
//! `tests/fuzz.rs` includes this file and runs the same functions over damaged fixtures on the stable toolchain, so CI checks for a
//! bounded time what a fuzzer checks for hours. A function here panics when a promise is broken; bytes may always be refused.

use residual_model::{Model, Rows};

/// Wider models are opened, but do not predict.
const WIDTH_MAX: usize = 1_000;

/// A pickle is refused, or predicts; then its converted file predicts the same to the last bit.
///
/// # Panics
/// When a promise is broken, as every function here.
pub fn pickle(bytes: &[u8]) {
    let Ok(model) = residual_model::open_bytes("a pickle", bytes) else {
        return;
    };
    let converted = residual_model::convert("a pickle", bytes);
    // The bytes may also be a converted file: converting it again may not lose anything either.
    let Ok(converted) = converted else {
        panic!("a model that opens cannot be converted");
    };
    let Ok(again) = residual_model::open_bytes("a converted file", &converted) else {
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

/// A converted file is refused, or predicts. It is tried again with the length of its header corrected, or hardly any would get further
/// than that.
pub fn store(bytes: &[u8]) {
    probe(bytes);
    let Some(rest) = bytes.get(8..) else { return };
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<serde_json::Value>();
    if values.next().is_some_and(|value| value.is_ok()) {
        let mut corrected = (values.byte_offset() as u64).to_le_bytes().to_vec();
        corrected.extend_from_slice(rest);
        probe(&corrected);
    }
}

fn probe(bytes: &[u8]) {
    if let Ok(model) = residual_model::open_bytes("a converted file", bytes) {
        answers(&model);
    }
}

/// The bits of all predictions for a few rows; a refusal is an answer, too.
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
    // So many that some rows go down trees together and some alone.
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
