//! Classifiers through the whole pipeline, against scikit-learn (fixtures of `model/classifiers.py`).

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use residual::{
    stats::{Average, ClassCounts, LogLoss, loss},
    task::{Labels, TaskSpec},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ended::Ended, process::Residual, repository::repository};

/// What scikit-learn says of the rows of a fixture.
#[derive(Deserialize)]
struct Expected {
    labels: Labels,
    y_pred: Vec<Value>,
    confusion: Vec<Vec<u64>>,
    accuracy: f64,
    f1: f64,
    average: String,
    log_loss: Option<f64>,
}

impl Expected {
    fn of(name: &str) -> Self {
        let path = repository(&format!("tests/fixtures/classify/{name}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// The predictions as they are in the log: a label in text by its index.
    fn y_pred(&self) -> Vec<f64> {
        let number = |label: &Value| match label.as_str() {
            Some(text) => self.labels.parse(text).unwrap(),
            None => label.as_f64().unwrap(),
        };
        self.y_pred.iter().map(number).collect()
    }

    fn right(&self) -> u64 {
        (0..self.confusion.len())
            .map(|class| self.confusion[class][class])
            .sum()
    }
}

fn fixture(name: &str) -> String {
    repository(&format!("tests/fixtures/classify/{name}"))
        .display()
        .to_string()
}

/// `residual run` over the rows of a fixture, in order, and further arguments.
fn run(folder: &Path, name: &str, count: usize, more: &[&str]) -> Residual {
    let (model, source, count) = (
        fixture(&format!("{name}.pkl")),
        fixture(&format!("{name}.csv")),
        count.to_string(),
    );
    let mut args = vec![
        "run", "--model", &model, "--source", &source, "--count", &count,
    ];
    args.extend(["--order", "sequential", "--log-format", "json"]);
    args.extend(more);
    Residual::new(folder, &args)
}

/// Runs a fixture to its end.
fn ran(folder: &Path, name: &str, rows: usize) -> Ended {
    let more = ["--interval", "0s", "--listen", "off", "--log-level", "warn"];
    run(folder, name, rows, &more).output().success()
}

/// `y_pred` of the log in the order of sending, after a look at the arithmetic of each row.
fn logged(folder: &Path) -> Vec<f64> {
    let mut reader = csv::Reader::from_path(folder.join("logs/metric_log.csv")).unwrap();
    let mut rows: Vec<(String, f64, f64, f64)> = reader.deserialize().map(Result::unwrap).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    for (id, y_true, y_pred, absolute_error) in &rows {
        let wrong = if y_true == y_pred { 0.0 } else { 1.0 };
        assert_eq!(*absolute_error, wrong, "{id}");
    }
    rows.into_iter().map(|(_, _, y_pred, _)| y_pred).collect()
}

#[track_caller]
fn equals_scikit_learn(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let expected = Expected::of(name);
    let rows = expected.y_pred.len();
    let said = ran(folder.path(), name, rows).stdout();
    assert_eq!(logged(folder.path()), expected.y_pred());
    let lines = [
        format!(
            "accuracy {:.6} ({} of {rows} labels are right)",
            expected.accuracy,
            expected.right()
        ),
        format!("F1       {:.6} ({})", expected.f1, expected.average),
        match expected.log_loss {
            Some(loss) => format!("log-loss {loss:.6} (of {rows} rows)"),
            None => "log-loss - (no probabilities received)".to_owned(),
        },
    ];
    for line in lines {
        assert!(
            said.lines().any(|other| other == line),
            "`{line}` is not in:\n{said}"
        );
    }
    let png = fs::read(folder.path().join("logs/error_distribution.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let task: Value =
        serde_json::from_slice(&fs::read(folder.path().join("logs/task.json")).unwrap()).unwrap();
    assert_eq!(task["task"], json!("classification"));
    assert_eq!(
        task["labels"],
        serde_json::to_value(&expected.labels).unwrap()
    );
    let verified = Residual::new(folder.path(), &["verify"])
        .output()
        .success()
        .stdout();
    assert!(verified.contains("clean"), "{verified}");
}

#[test]
fn labels_in_text_with_probabilities_equal_scikit_learn() {
    equals_scikit_learn("iris");
}

#[test]
fn zero_and_one_with_missing_values_equal_scikit_learn() {
    equals_scikit_learn("cancer");
}

#[test]
fn ten_classes_without_probabilities_equal_scikit_learn() {
    equals_scikit_learn("digits");
}

/// One case of `metrics.json`.
#[derive(Deserialize)]
struct Case {
    name: String,
    classes: Vec<f64>,
    y_true: Vec<f64>,
    y_pred: Vec<f64>,
    true_probability: Vec<f64>,
    accuracy: f64,
    f1: f64,
    average: String,
    log_loss: f64,
}

#[test]
fn figures_of_labels_are_those_of_sklearn_metrics() {
    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }
    let file = fs::read(fixture("metrics.json")).unwrap();
    let Cases { cases } = serde_json::from_slice(&file).unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        for spec in [
            TaskSpec::of_labels(Some(Labels::Numbers(case.classes.clone()))),
            TaskSpec::of_labels(None),
        ] {
            let mut counts = ClassCounts::new(&spec).unwrap();
            for (y_true, y_pred) in case.y_true.iter().zip(&case.y_pred) {
                counts.push(*y_true, *y_pred);
            }
            let score = counts.shape().score;
            assert!(
                (score.accuracy.unwrap() - case.accuracy).abs() <= 1e-12,
                "{}",
                case.name
            );
            assert!(
                (score.f1.unwrap() - case.f1).abs() <= 1e-12,
                "{} {score:?}",
                case.name
            );
            assert_eq!(
                score.average.map(Average::name),
                Some(case.average.as_str()),
                "{}",
                case.name
            );
        }
        let mut losses = LogLoss::default();
        case.true_probability
            .iter()
            .for_each(|probability| losses.push(loss(*probability)));
        let mean = losses.mean().unwrap();
        assert!(
            (mean - case.log_loss).abs() <= 1e-9,
            "{}: {mean} {}",
            case.name,
            case.log_loss
        );
    }
}

/// An HTTP exchange over a bare socket; returns the body.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request}Connection: close\r\n\r\n").unwrap();
    read_body(stream)
}

fn get(address: &str, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n"),
    )
}

fn post(address: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json");
    let length = body.len();
    write!(
        stream,
        "{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    read_body(stream)
}

fn read_body(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Asks until the answer is as wanted; a minute at most.
fn until(mut ask: impl FnMut() -> Value, is_wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let answer = ask();
        if is_wanted(&answer) {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it never came: {}", ask());
}

/// The log is of 150 rows; a further run sends one more, and waits an hour for the next.
#[test]
fn the_page_shows_the_figures_of_labels_and_the_log_loss_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let expected = Expected::of("iris");
    ran(folder.path(), "iris", 150);
    let more = ["--interval", "1h", "--listen", "127.0.0.1:0"];
    let mut running = run(folder.path(), "iris", 2, &more).start();
    let address = running
        .log_lines()
        .find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            Some(event["url"].as_str()?.strip_prefix("http://")?.to_owned())
        })
        .unwrap();
    let summary = until(
        || serde_json::from_str(&get(&address, "/api/summary")).unwrap_or_default(),
        |summary| summary["rows"] == json!(151) && summary["ledger"]["matched"] == json!(151),
    );
    assert_eq!(summary["task"], json!("classification"));
    let labels = &summary["classification"];
    let first_is_right = u64::from(expected.y_pred[0] == json!("setosa"));
    assert_eq!(
        labels["all_time"]["right"],
        json!(expected.right() + first_is_right)
    );
    assert_eq!(
        labels["confusion"]["labels"],
        json!(["setosa", "versicolor", "virginica"])
    );
    assert_eq!(
        labels["confusion"]["counts"][2],
        json!(expected.confusion[2])
    );
    let loss = &summary["ledger"]["log_loss"];
    assert_eq!(
        (&loss["all_time"]["n"], &loss["recent"]["n"]),
        (&json!(151), &json!(1))
    );
    let before = expected.log_loss.unwrap() * 150.0;
    let now = loss["all_time"]["value"].as_f64().unwrap() * 151.0;
    let last = loss["recent"]["value"].as_f64().unwrap();
    assert!(
        (now - before - last).abs() < 1e-9 * now,
        "{before} {last} {now}"
    );
    assert_shown(&address, &labels["all_time"]["accuracy"], loss);
    let answer: Value = serde_json::from_str(&post(
        &address,
        "/predict",
        r#"{"id":1,"body":[5.1,3.5,1.4,0.2]}"#,
    ))
    .unwrap();
    assert_eq!(answer["body"], json!(0.0));
    assert_eq!(answer["probabilities"].as_array().unwrap().len(), 3);
    running.terminate();
    assert_eq!(running.exit_code(), Some(0));
}

/// Page and metrics show the figures of the summary.
#[track_caller]
fn assert_shown(address: &str, accuracy: &Value, loss: &Value) {
    let page = get(address, "/");
    for words in [
        format!(r#"<data id="classification.all_time.accuracy" value="{accuracy}">"#),
        format!(
            r#"<data id="ledger.log_loss.all_time.value" value="{}">"#,
            loss["all_time"]["value"]
        ),
        r#"<th scope="row">versicolor</th>"#.to_owned(),
        "F1, macro".to_owned(),
    ] {
        assert!(page.contains(&words), "{words}");
    }
    let metrics = get(address, "/metrics");
    for line in [
        format!(r#"residual_accuracy{{window="all"}} {accuracy}"#),
        r#"residual_log_loss_rows{window="all"} 151"#.to_owned(),
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line}\n{metrics}"
        );
    }
    assert!(metrics.contains(r#"residual_f1{window="all",average="macro"}"#));
}

#[test]
fn a_task_other_than_the_models_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--task", "regression", "--listen", "off"];
    run(folder.path(), "iris", 1, &more).output().fails_with(
        2,
        &[
            "`task` is regression",
            "LogisticRegression",
            "is a classification",
        ],
    );
    Residual::new(
        folder.path(),
        &["run", "--task", "classification", "--listen", "off"],
    )
    .output()
    .fails_with(2, &["`task` is classification", "is a regression"]);
}

#[test]
fn a_log_of_labels_is_not_continued_by_numbers() {
    let folder = tempfile::tempdir().unwrap();
    ran(folder.path(), "iris", 3);
    Residual::new(
        folder.path(),
        &["run", "--count", "1", "--interval", "0s", "--listen", "off"],
    )
    .output()
    .fails_with(2, &["task.json", "move the log away"]);
    assert_eq!(logged(folder.path()).len(), 3);
}

/// The bundled rows of a fixture with one cell changed.
fn changed(folder: &Path, name: &str, from: &str, to: &str) -> String {
    let rows = fs::read_to_string(fixture(&format!("{name}.csv"))).unwrap();
    assert!(rows.contains(from));
    let path = folder.join("rows.csv");
    fs::write(&path, rows.replacen(from, to, 1)).unwrap();
    path.display().to_string()
}

#[track_caller]
fn refused(name: &str, from: &str, to: &str, said: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (model, source) = (
        fixture(&format!("{name}.pkl")),
        changed(folder.path(), name, from, to),
    );
    let args = [
        "run",
        "--model",
        &model,
        "--source",
        &source,
        "--listen",
        "off",
        "--interval",
        "0s",
    ];
    Residual::new(folder.path(), &args)
        .output()
        .fails_with(2, said);
}

#[test]
fn an_unknown_label_is_refused_with_its_line_and_the_known_ones() {
    refused(
        "iris",
        "setosa",
        "tulip",
        &[
            "line 2",
            "\"tulip\" is no known label",
            "`setosa`, `versicolor`, `virginica`",
        ],
    );
}

#[test]
fn a_missing_value_is_refused_where_the_model_has_no_answer_without_it() {
    refused(
        "iris",
        "5.1,3.5",
        "5.1,",
        &["line 2, column `sepal_width`", "SimpleImputer"],
    );
}

#[test]
fn labels_in_text_need_a_name_where_there_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("iris.csv");
    let args = [
        "features",
        "--bus",
        "embedded:bus",
        "--source",
        &source,
        "--interval",
        "0s",
        "--count",
        "150",
    ];
    Residual::new(folder.path(), &args)
        .output()
        .fails_with(2, &["line 2", "by the setting `labels`"]);
    Residual::new(folder.path(), &args)
        .env(
            "RESIDUAL__LABELS",
            r#"["setosa", "versicolor", "virginica"]"#,
        )
        .output()
        .success();
}

#[test]
fn predict_prints_the_label_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (model, input) = (fixture("iris.pkl"), fixture("iris.csv"));
    let said = Residual::new(
        folder.path(),
        &["predict", "--model", &model, "--input", &input],
    )
    .output()
    .success()
    .stdout();
    let expected = Expected::of("iris");
    let labels: Vec<_> = expected
        .y_pred
        .iter()
        .map(|label| label.as_str().unwrap())
        .collect();
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), labels);
}
