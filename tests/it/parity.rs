//! Models predict what scikit-learn predicts, from the pickle and from the converted file alike.
//!
//! The fixtures are written by `model/fixtures.py`, one folder for each scikit-learn version. `RESIDUAL_FIXTURES=DIR` reads a wider
//! set instead, and `cargo nextest run --run-ignored only -E 'test(parity_table)' --no-capture` prints the table of model/README.md.

mod columns;
mod fixtures;
mod hostile;
mod live;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use residual::model::{self, Model, Rows};

use fixtures::{Case, cases};

/// Largest relative difference that counts as the same prediction.
const TOLERANCE: f64 = 1e-9;
/// Values smaller than this are compared as if they were this large.
const FLOOR: f64 = 1e-3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table(path: &str) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(root().join(path)).expect(path);
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect()
}

#[expect(
    clippy::float_cmp,
    reason = "equal values have no error, whatever they are"
)]
fn relative(ours: f64, theirs: f64) -> f64 {
    if ours.to_bits() == theirs.to_bits() || ours == theirs {
        return 0.0;
    }
    let error = (ours - theirs).abs() / theirs.abs().max(FLOOR);
    if error.is_nan() { f64::INFINITY } else { error }
}

fn worst(ours: &[f64], theirs: &[f64]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| relative(*a, *b))
        .fold(0.0, f64::max)
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_bundled_model_predicts_all_442_rows_as_scikit_learn_does() {
    let data = table("data/diabetes.csv");
    let rows = Rows::from_rows(&data.iter().map(|row| &row[..10]).collect::<Vec<_>>()).unwrap();
    let theirs: Vec<f64> = table("tests/fixtures/models/diabetes_linear.csv")
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(theirs.len(), 442);

    let pickled = model::open(&root().join("model/myfile.pkl")).unwrap();
    let converted = model::open(&root().join("model/myfile.safetensors")).unwrap();
    let ours = pickled.predict(&rows).unwrap();
    assert!(
        worst(&ours, &theirs) < TOLERANCE,
        "{}",
        worst(&ours, &theirs)
    );
    assert_eq!(bits(&ours), bits(&converted.predict(&rows).unwrap()));
    assert_eq!(
        bits(&ours),
        bits(&model::bundled().unwrap().predict(&rows).unwrap())
    );

    let errors: Vec<f64> = ours
        .iter()
        .zip(&data)
        .map(|(y_pred, row)| row[10] - y_pred)
        .collect();
    let mae = errors.iter().map(|error| error.abs()).sum::<f64>() / 442.0;
    let rmse = (errors.iter().map(|error| error * error).sum::<f64>() / 442.0).sqrt();
    assert_eq!(format!("{mae:.6} {rmse:.6}"), "43.277452 53.476129");
}

#[test]
fn the_bundled_file_is_what_converting_the_bundled_pickle_gives() {
    let pickle = fs::read(root().join("model/myfile.pkl")).unwrap();
    let converted = model::convert(&pickle, "model/myfile.pkl").unwrap();
    assert!(
        converted == fs::read(root().join("model/myfile.safetensors")).unwrap(),
        "run `residual convert model/myfile.pkl -o model/myfile.safetensors`"
    );
}

/// What one model got wrong, or its largest relative error.
fn check(case: &Case) -> Result<f64, String> {
    let mut error: f64 = 0.0;
    let mut first: Option<Vec<u64>> = None;
    for file in &case.files {
        let bytes = fs::read(file).map_err(|error| error.to_string())?;
        let name = file.display().to_string();
        let model = model::open_bytes(&name, &bytes).map_err(|error| error.story())?;
        error = error.max(check_predictions(case, &model)?);
        let ours = bits(&model.predict(&case.rows).map_err(|error| error.story())?);
        let converted = model::convert(&bytes, &name).map_err(|error| error.story())?;
        if converted != model::convert(&bytes, &name).map_err(|error| error.story())? {
            return Err("two conversions differ".to_owned());
        }
        let converted =
            model::open_bytes("converted", &converted).map_err(|error| error.story())?;
        if bits(
            &converted
                .predict(&case.rows)
                .map_err(|error| error.story())?,
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
    let ours = model.predict(&case.rows).map_err(|error| error.story())?;
    let mut error = worst(&ours, &case.y_pred);
    if let Some(theirs) = &case.proba {
        let proba = model
            .predict_proba(&case.rows)
            .ok_or("no probabilities")?
            .map_err(|error| error.story())?;
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
    // One row alone gives the same bits as in a batch, so that a second delivery of it is a duplicate and no conflict.
    for (index, row) in case.rows.iter().enumerate().take(3) {
        let alone = model
            .predict(&Rows::from_rows(&[row]).unwrap())
            .map_err(|error| error.story())?;
        if alone[0].to_bits() != ours[index].to_bits() {
            return Err(format!(
                "row {index} alone gives {} and in a batch {}",
                alone[0], ours[index]
            ));
        }
    }
    Ok(error)
}

#[test]
fn every_fixture_predicts_what_scikit_learn_predicted_when_it_was_written() {
    let cases = cases();
    assert!(cases.len() >= 800, "only {} fixtures found", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| match check(case) {
            Ok(error) if error <= if case.is_exact() { 0.0 } else { TOLERANCE } => None,
            Ok(error) => Some(format!(
                "{} {}: relative error {error:e}",
                case.version, case.name
            )),
            Err(problem) => Some(format!("{} {}: {problem}", case.version, case.name)),
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
#[ignore = "prints the table of model/README.md"]
fn parity_table() {
    let mut versions = vec![];
    let mut table: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for case in cases() {
        let cell = check(&case).map_or_else(
            |_| "refused".to_owned(),
            |error| {
                if error == 0.0 {
                    "0".to_owned()
                } else {
                    format!("{error:.0e}")
                }
            },
        );
        if !versions.contains(&case.version) {
            versions.push(case.version.clone());
        }
        table
            .entry(case.name)
            .or_default()
            .insert(case.version, cell);
    }
    println!(
        "| model | {} |\n|---|{}",
        versions.join(" | "),
        "---|".repeat(versions.len())
    );
    for (name, cells) in table {
        let row: Vec<&str> = versions
            .iter()
            .map(|version| cells.get(version).map_or("", String::as_str))
            .collect();
        println!("| {name} | {} |", row.join(" | "));
    }
}

#[test]
#[ignore = "rewrites model/myfile.safetensors; use it where the binary cannot be built yet"]
fn rewrite_the_bundled_file() {
    let pickle = fs::read(root().join("model/myfile.pkl")).unwrap();
    fs::write(
        root().join("model/myfile.safetensors"),
        model::convert(&pickle, "model/myfile.pkl").unwrap(),
    )
    .unwrap();
}
