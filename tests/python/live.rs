//! Models that scikit-learn fits here and now, in the version `model/requirements.txt` pins, predict the same through the
//! library and through `residual predict`, and those that cannot be read are refused with a reason.
//!
//! The packages come from `PyPI` once and stay in a folder below `target`. Without them the test fails and says so: a version
//! that was not tried is not known to work.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::agreement::{TOLERANCE, check, relative};
use crate::fixtures::{Case, cases_in};
use crate::{process::Residual, repository::repository};
use residual_model::Rows;

const REQUIREMENTS: &str = "model/requirements.txt";

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .expect("no python3 on this machine: install the package `python3-venv` (Debian, Ubuntu: apt-get install python3-venv)");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?} failed; the live version needs the packages of {REQUIREMENTS} from PyPI\n{stdout}\n{stderr}"
    );
    stdout
}

/// A Python with the pinned packages, made once.
fn python() -> PathBuf {
    let requirements = fs::read(repository(REQUIREMENTS)).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scikit-learn");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let program = folder.join("bin/python");
    // Written last: an environment without it was never finished, one with another was made for other packages.
    let made_for = folder.join("requirements.txt");
    if fs::read(&made_for).is_ok_and(|made_for| made_for == requirements) {
        return program;
    }
    drop(fs::remove_dir_all(&folder));
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    run(Command::new(&program)
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(repository(REQUIREMENTS)));
    fs::write(made_for, requirements).unwrap();
    program
}

/// What `residual predict` prints for the rows, or nothing where they cannot stand in a CSV file.
fn command_line(folder: &Path, case: &Case) -> Option<Vec<String>> {
    if case.rows.as_slice().iter().any(|value| value.is_nan()) {
        return None;
    }
    let model = residual_model::open(&case.files[0]).unwrap();
    let header = match &model.info().feature_names {
        Some(names) => names.clone(),
        None => (0..case.rows.n_features())
            .map(|column| format!("x{column}"))
            .collect(),
    };
    let input = folder.join("rows.csv");
    fs::write(&input, csv(&header, &case.rows)).unwrap();
    let args = [
        "predict",
        "--model",
        case.files[0].to_str().unwrap(),
        "--input",
        input.to_str().unwrap(),
    ];
    let stdout = Residual::new(folder, &args).output().success().stdout();
    let first = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
    Some(stdout.lines().skip(1).map(first).collect())
}

fn csv(header: &[String], rows: &Rows) -> String {
    let mut text = header.join(",");
    for row in rows.iter() {
        let cells: Vec<String> = row.iter().map(|value| format!("{value:?}")).collect();
        write!(text, "\n{}", cells.join(",")).unwrap();
    }
    text + "\n"
}

/// The largest error of what was printed: numbers are compared, labels that are text stand for their index.
fn printed_error(case: &Case, printed: &[String]) -> f64 {
    if printed.len() != case.y_pred.len() {
        return f64::INFINITY;
    }
    let value = |cell: &String| {
        let classes = case.classes.as_deref().unwrap_or_default();
        let place = classes.iter().position(|class| class == cell);
        let index = place.and_then(|place| u32::try_from(place).ok());
        index.map_or_else(|| cell.parse().unwrap_or(f64::NAN), f64::from)
    };
    printed
        .iter()
        .zip(&case.y_pred)
        .map(|(cell, theirs)| relative(value(cell), *theirs))
        .fold(0.0, f64::max)
}

/// Models that cannot be read are refused by their class, with the reason and what can be read.
fn check_refusals(folder: &Path) {
    let is_document = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    let mut entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let document = fs::read_to_string(entries.find(is_document).unwrap()).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let refused = document["refused"].as_array().unwrap();
    assert!(refused.len() >= 28, "only {} models", refused.len());
    let version = document["scikit_learn"].as_str().unwrap();
    let mut unclear = vec![];
    for model in refused {
        let word = |key: &str| model[key].as_str().unwrap();
        let path = folder.join(version).join(word("file"));
        let message = match residual_model::open(&path) {
            Ok(_) => "it was read".to_owned(),
            Err(error) => error.with_causes(),
        };
        let said = [
            &format!(".{} at ", word("class")),
            word("words"),
            "Supported: ",
        ];
        if !said.iter().all(|words| message.contains(words)) {
            let message: String = message.chars().take(400).collect();
            unclear.push(format!("{said:?}: {message}"));
        }
    }
    assert!(unclear.is_empty(), "{}", unclear.join("\n"));
}

#[test]
fn what_scikit_learn_fits_today_predicts_the_same_here_and_on_the_command_line() {
    let out = tempfile::tempdir().unwrap();
    run(Command::new(python())
        .arg(repository("model/fixtures.py"))
        .arg(out.path())
        .arg("--live"));
    check_refusals(out.path());
    let cases = cases_in(out.path());
    assert!(cases.len() >= 200, "only {} models fitted", cases.len());
    let mut on_the_command_line = 0;
    let mut failures = vec![];
    for case in &cases {
        let name = format!("{} {}", case.version, case.name);
        let bound = if case.is_exact() { 0.0 } else { TOLERANCE };
        let mut spec = |how: &str, error: Result<f64, String>| match error {
            Ok(error) if error <= bound => {}
            Ok(error) => failures.push(format!("{name} {how}: relative error {error:e}")),
            Err(problem) => failures.push(format!("{name} {how}: {problem}")),
        };
        spec("in the library", check(case));
        if let Some(printed) = command_line(out.path(), case) {
            on_the_command_line += 1;
            spec("by `residual predict`", Ok(printed_error(case, &printed)));
        }
    }
    assert!(on_the_command_line >= 180, "only {on_the_command_line}");
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
