//! Bad input: each gets a message that names file, line or key and the remedy, and the right exit code.

use std::fs;

use crate::{log::read_log, process::Residual, repository::repository, scikit_learn::REFERENCE};

fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[track_caller]
fn refused(files: &[(&str, &str)], args: &[&str], code: i32, said: &[&str]) {
    let folder = folder_with(files);
    Residual::new(folder.path(), args)
        .output()
        .fails_with(code, said);
}

const SHORT: [&str; 7] = ["run", "--listen", "off", "--interval", "0s", "--count", "5"];

#[track_caller]
fn run_refused(files: &[(&str, &str)], more: &[&str], code: i32, said: &[&str]) {
    refused(files, &[&SHORT[..], more].concat(), code, said);
}

#[test]
fn usage_errors_exit_with_2() {
    refused(&[], &["run", "--nonsense"], 2, &["--nonsense"]);
    refused(
        &[],
        &["run", "--interval", "soon"],
        2,
        &["`soon` is not a duration", "250ms"],
    );
}

#[test]
fn an_unknown_setting_is_named_with_its_place() {
    run_refused(
        &[("residual.toml", "[bus]\nurll = 'x'\n")],
        &[],
        2,
        &["`bus.urll`", "residual.toml"],
    );
    let folder = folder_with(&[]);
    let run = Residual::new(folder.path(), &SHORT).env("RESIDUAL__BUS__WINDOW", "1");
    run.output().fails_with(2, &["`bus.window`"]);
}

#[test]
fn the_environment_beats_the_file_and_a_flag_beats_both() {
    let folder = folder_with(&[("residual.toml", "logs = 'from-file'\n")]);
    Residual::new(folder.path(), &SHORT)
        .env("RESIDUAL__LOGS", "from-env")
        .output()
        .success();
    assert!(folder.path().join("from-env/metric_log.csv").exists());
    let flags = [&SHORT[..], &["--logs", "from-flag"]].concat();
    Residual::new(folder.path(), &flags)
        .env("RESIDUAL__LOGS", "from-env")
        .output()
        .success();
    assert!(folder.path().join("from-flag/metric_log.csv").exists());
}

#[test]
fn a_named_settings_file_must_exist() {
    run_refused(
        &[],
        &["--config", "gone.toml"],
        2,
        &["gone.toml", "--config"],
    );
}

#[test]
fn a_missing_or_foreign_model_is_reported() {
    run_refused(&[], &["--model", "gone.pkl"], 2, &["gone.pkl"]);
    run_refused(
        &[("page.pkl", "<html>not found</html>")],
        &["--model", "page.pkl"],
        2,
        &["page.pkl"],
    );
}

#[test]
fn a_bad_cell_is_named_and_rows_before_it_are_kept() {
    let diabetes = fs::read_to_string(repository("data/diabetes.csv")).unwrap();
    let mut lines: Vec<_> = diabetes.lines().take(5).map(str::to_owned).collect();
    lines[4] = lines[4].replacen("0.", "zero.", 1);
    let folder = folder_with(&[("rows.csv", &format!("{}\n", lines.join("\n")))]);
    let args = [
        &SHORT[..],
        &["--source", "rows.csv", "--order", "sequential"],
    ]
    .concat();
    Residual::new(folder.path(), &args)
        .output()
        .fails_with(1, &["`rows.csv` line 5", "is not a finite number"]);
    let log = fs::read_to_string(folder.path().join("logs/metric_log.csv")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[test]
fn a_table_that_does_not_fit_the_model_is_reported() {
    run_refused(
        &[("rows.csv", "a,b,target\n1,2,3\n")],
        &["--source", "rows.csv"],
        2,
        &["rows.csv"],
    );
    run_refused(
        &[("rows.csv", "a,b\n1,2\n")],
        &["--source", "rows.csv"],
        2,
        &["no column `target`", "--target"],
    );
}

#[test]
fn a_log_with_a_foreign_header_is_left_alone() {
    let folder = folder_with(&[("logs/metric_log.csv", "when,what\n1,2\n")]);
    Residual::new(folder.path(), &SHORT).output().fails_with(
        2,
        &[
            "metric_log.csv",
            "expected `id,y_true,y_pred,absolute_error`",
        ],
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("logs/metric_log.csv")).unwrap(),
        "when,what\n1,2\n"
    );
}

#[test]
fn a_torn_last_line_is_repaired() {
    let torn = "id,y_true,y_pred,absolute_error\na,1.0,2.0,1.0\nb,3.0,4";
    let folder = folder_with(&[("logs/metric_log.csv", torn)]);
    Residual::new(folder.path(), &SHORT).output().success();
    assert_eq!(
        read_log(&folder.path().join("logs/metric_log.csv")).len(),
        6
    );
}

#[test]
fn an_occupied_port_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &[],
        &["run", "--count", "5", "--listen", &address],
        2,
        &["`dashboard.listen`", &address, "--listen"],
    );
}

#[test]
fn a_page_for_everyone_needs_a_token() {
    refused(
        &[],
        &["run", "--count", "5", "--listen", "0.0.0.0:0"],
        2,
        &["dashboard.token"],
    );
}

#[test]
fn a_logs_folder_that_is_a_file_is_reported() {
    run_refused(&[("logs", "not a folder")], &[], 2, &["logs"]);
}

#[test]
fn an_unknown_bus_is_reported() {
    run_refused(
        &[],
        &["--bus", "kafka://host"],
        2,
        &["kafka://host", "embedded:"],
    );
}

#[test]
fn predict_scores_a_table_by_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let (model, rows) = (
        repository("model/myfile.pkl"),
        repository("data/diabetes.csv"),
    );
    let args = [
        "predict",
        "--model",
        model.to_str().unwrap(),
        "--input",
        rows.to_str().unwrap(),
    ];
    let stdout = Residual::new(folder.path(), &args)
        .output()
        .success()
        .stdout();
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("y_pred"));
    let ours: Vec<f64> = lines.map(|line| line.parse().unwrap()).collect();
    let theirs: Vec<f64> = fs::read_to_string(repository(REFERENCE))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(ours.len(), 442);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            (ours - theirs).abs() <= 1e-9 * theirs.abs(),
            "{ours} {theirs}"
        );
    }
}

#[test]
fn convert_writes_what_inspect_reads() {
    let folder = tempfile::tempdir().unwrap();
    let pickle = repository("model/myfile.pkl");
    Residual::new(
        folder.path(),
        &["convert", pickle.to_str().unwrap(), "-o", "m.safetensors"],
    )
    .output()
    .success();
    assert_eq!(
        fs::read(folder.path().join("m.safetensors")).unwrap(),
        fs::read(repository("model/myfile.safetensors")).unwrap(),
    );
    let said = Residual::new(folder.path(), &["inspect", "m.safetensors"])
        .output()
        .success()
        .stdout();
    for words in ["LinearRegression", "10"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn check_prints_one_line_for_each_part() {
    let folder = tempfile::tempdir().unwrap();
    let said = Residual::new(folder.path(), &["check"])
        .output()
        .success()
        .stdout();
    for what in ["configuration", "model", "log", "bus"] {
        assert!(
            said.lines()
                .any(|line| line.starts_with("ok") && line.contains(what)),
            "{said}"
        );
    }
    let said = Residual::new(folder.path(), &["check", "--model", "gone.pkl"])
        .output()
        .fails_with(1, &[])
        .stdout();
    assert!(said.contains("failed  model"), "{said}");
}

#[test]
fn the_settings_file_shows_every_default() {
    let folder = folder_with(&[]);
    let shipped = repository("residual.toml");
    let args = [&SHORT[..], &["--config", shipped.to_str().unwrap()]].concat();
    Residual::new(folder.path(), &args).output().success();
}
