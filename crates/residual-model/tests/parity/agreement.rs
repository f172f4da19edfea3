//! Whether a model predicts what scikit-learn predicted. The root package includes this file in its tests, too.

use std::fs;

use residual_model::{Model, Rows};

use super::fixtures::Case;

/// Largest relative difference that counts as the same prediction.
pub(crate) const TOLERANCE: f64 = 1e-9;
/// The error of values smaller than this is relative to this.
pub(crate) const FLOOR: f64 = 1e-3;

#[expect(
    clippy::float_cmp,
    reason = "equal values have no error, whatever they are"
)]
pub(crate) fn relative(ours: f64, theirs: f64) -> f64 {
    if ours.to_bits() == theirs.to_bits() || ours == theirs {
        return 0.0;
    }
    let error = (ours - theirs).abs() / theirs.abs().max(FLOOR);
    if error.is_nan() { f64::INFINITY } else { error }
}

pub(crate) fn worst(ours: &[f64], theirs: &[f64]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| relative(*a, *b))
        .fold(0.0, f64::max)
}

pub(crate) fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The largest relative error of one model, or what is wrong with it.
pub(crate) fn check(case: &Case) -> Result<f64, String> {
    let mut error: f64 = 0.0;
    let mut first: Option<Vec<u64>> = None;
    for file in &case.files {
        let bytes = fs::read(file).map_err(|error| error.to_string())?;
        let name = file.display().to_string();
        let model =
            residual_model::open_bytes(&name, &bytes).map_err(|error| error.with_causes())?;
        error = error.max(check_predictions(case, &model)?);
        let ours = bits(
            &model
                .predict(&case.rows)
                .map_err(|error| error.with_causes())?,
        );
        let converted =
            residual_model::convert(&name, &bytes).map_err(|error| error.with_causes())?;
        if converted
            != residual_model::convert(&name, &bytes).map_err(|error| error.with_causes())?
        {
            return Err("two conversions differ".to_owned());
        }
        let converted = residual_model::open_bytes("converted", &converted)
            .map_err(|error| error.with_causes())?;
        if bits(
            &converted
                .predict(&case.rows)
                .map_err(|error| error.with_causes())?,
        ) != ours
            || converted.info() != model.info()
        {
            return Err("the converted file differs from the pickle".to_owned());
        }
        if *first.get_or_insert_with(|| ours.clone()) != ours {
            return Err(format!("{} differs from the other formats", file.display()));
        }
    }
    Ok(error)
}

fn check_predictions(case: &Case, model: &Model) -> Result<f64, String> {
    let ours = model
        .predict(&case.rows)
        .map_err(|error| error.with_causes())?;
    let mut error = worst(&ours, &case.y_pred);
    if let Some(theirs) = &case.proba {
        let proba = model
            .predict_proba(&case.rows)
            .ok_or("no probabilities")?
            .map_err(|error| error.with_causes())?;
        error = error.max(worst(proba.as_slice(), theirs));
    }
    if let Some(theirs) = &case.classes {
        let classes = model.classes().ok_or("no classes")?;
        let names: Vec<String> = (0..classes.len())
            .map(|index| classes.name(index))
            .collect();
        if &names != theirs {
            return Err(format!("classes are {names:?}, not {theirs:?}"));
        }
    }
    // A row alone gives the same bits as in a batch, so that a caller who predicts it again gets the same answer.
    for (index, row) in case.rows.iter().enumerate().take(3) {
        let alone = model
            .predict(&Rows::from_rows(&[row]).unwrap())
            .map_err(|error| error.with_causes())?;
        if alone[0].to_bits() != ours[index].to_bits() {
            return Err(format!(
                "row {index} alone gives {} and in a batch {}",
                alone[0], ours[index]
            ));
        }
    }
    Ok(error)
}
