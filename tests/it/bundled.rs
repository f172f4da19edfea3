//! The bundled model predicts what scikit-learn predicted, from the pickle, from the converted file and from the binary.

use std::fs;

use residual::bundled;
use residual_model::Rows;

use crate::residual::{REFERENCE, repository};

/// The numbers of a CSV file of the repository, without its header.
fn table(path: &str) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(repository(path)).expect(path);
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_bundled_model_predicts_all_442_rows_as_scikit_learn_does() {
    let data = table("data/diabetes.csv");
    let rows = Rows::from_rows(&data.iter().map(|row| &row[..10]).collect::<Vec<_>>()).unwrap();
    let theirs: Vec<f64> = table(REFERENCE).into_iter().flatten().collect();
    assert_eq!(theirs.len(), 442);

    let pickled = residual_model::open(repository("model/myfile.pkl")).unwrap();
    let converted = residual_model::open(repository("model/myfile.safetensors")).unwrap();
    let ours = pickled.predict(&rows).unwrap();
    for (row, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            (ours - theirs).abs() < 1e-9 * theirs.abs(),
            "row {row}: {ours}, scikit-learn says {theirs}"
        );
    }
    assert_eq!(bits(&ours), bits(&converted.predict(&rows).unwrap()));
    assert_eq!(
        bits(&ours),
        bits(&bundled::model().unwrap().predict(&rows).unwrap())
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
    let pickle = fs::read(repository("model/myfile.pkl")).unwrap();
    let converted = residual_model::convert("model/myfile.pkl", &pickle).unwrap();
    assert!(
        converted == fs::read(repository("model/myfile.safetensors")).unwrap(),
        "run `residual convert model/myfile.pkl -o model/myfile.safetensors`"
    );
}

#[test]
#[ignore = "rewrites model/myfile.safetensors; use it where the binary cannot be built yet"]
fn rewrite_the_bundled_file() {
    let pickle = fs::read(repository("model/myfile.pkl")).unwrap();
    fs::write(
        repository("model/myfile.safetensors"),
        residual_model::convert("model/myfile.pkl", &pickle).unwrap(),
    )
    .unwrap();
}
