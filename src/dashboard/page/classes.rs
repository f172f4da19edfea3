//! How right the predicted labels are: what the page shows in place of errors when the model is a classifier.

use super::{
    figures::{columns_of, stream_tile},
    html::{cell, count, data, heading, row, text, tile},
};
use crate::{
    dashboard::format::{self, escape, percent, short},
    stats::{
        Average, LedgerSnapshot, LossFigure, Matrix, Score,
        live::{Classification, View},
    },
};

/// The most important figures, of the last rows, with those of all time below.
pub(super) fn tiles(
    view: &View,
    labels: &Classification,
    ledger: Option<&LedgerSnapshot>,
) -> String {
    let (last, all) = (&labels.last_rows, &labels.all_time);
    let right = format!(
        "{} of {} right",
        format::count(last.right),
        format::count(last.n)
    );
    let loss = ledger.and_then(|ledger| ledger.log_loss.as_ref());
    let loss_of = |figure: Option<&LossFigure>| text(figure.and_then(|figure| figure.value));
    [
        tile(
            "Accuracy",
            &share(last.accuracy),
            &right,
            &share(all.accuracy),
        ),
        tile(
            "Against the majority",
            &gain(last),
            &baseline(last),
            &gain(all),
        ),
        tile(
            f1_name(last),
            &text(last.f1),
            f1_meaning(last),
            &text(all.f1),
        ),
        tile(
            "Log-loss",
            &loss_of(loss.map(|loss| &loss.last_rows)),
            if loss.is_some_and(|loss| loss.all_time.n > 0) {
                "0 is perfect"
            } else {
                "no probabilities received"
            },
            &loss_of(loss.map(|loss| &loss.all_time)),
        ),
    ]
    .concat()
        + &stream_tile(view)
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), percent)
}

/// By how many percentage points the accuracy is above that of always predicting the most frequent label.
fn gain(score: &Score) -> String {
    let gain = score.accuracy.zip(score.baseline_accuracy);
    gain.map_or_else(
        || "–".to_owned(),
        |(accuracy, baseline)| {
            let sign = if accuracy > baseline { "+" } else { "" };
            format!("{sign}{}", percent(accuracy - baseline))
        },
    )
}

fn baseline(score: &Score) -> String {
    score.baseline_accuracy.map_or_else(
        || "its accuracy is not known yet".to_owned(),
        |baseline| format!("its accuracy is {}", percent(baseline)),
    )
}

fn f1_name(score: &Score) -> &'static str {
    match score.average {
        Some(Average::Binary) => "F1 of class 1",
        Some(Average::Macro) | None => "F1, macro",
    }
}

fn f1_meaning(score: &Score) -> &'static str {
    match score.average {
        Some(Average::Binary) => "binary: of the positive class",
        Some(Average::Macro) | None => "the mean over all classes",
    }
}

type Figure = fn(&Score) -> Option<f64>;

/// Name in `/api/summary`, heading, meaning, and how to get it.
const FIGURES: [(&str, &str, &str, Figure); 3] = [
    ("accuracy", "Accuracy", "share of right labels", |score| {
        score.accuracy
    }),
    (
        "f1",
        "F1",
        "harmonic mean of precision and recall: of class 1 where labels are 0 and 1 (binary), else the mean over classes (macro)",
        |score| score.f1,
    ),
    (
        "baseline_accuracy",
        "Majority’s accuracy",
        "accuracy of always predicting the most frequent label",
        |score| score.baseline_accuracy,
    ),
];

/// All figures for all time and both windows.
pub(super) fn table(
    view: &View,
    labels: &Classification,
    ledger: Option<&LedgerSnapshot>,
) -> String {
    let scores = [
        ("all_time", &labels.all_time),
        ("last_rows", &labels.last_rows),
        ("recent", &labels.recent),
    ];
    let name = |part: &str, figure: &str| format!("classification.{part}.{figure}");
    let line = |class: &str, title: &str, meaning: &str, cells: [String; 3]| {
        let cells: String = cells.iter().map(|content| cell(content)).collect();
        row(class, title, meaning, &cells)
    };
    let n = scores.map(|(part, score)| count(&name(part, "n"), score.n));
    let right = scores.map(|(part, score)| count(&name(part, "right"), score.right));
    let mut body = line("", "Rows", "rows with a truth and a prediction", n)
        + &line("", "Right", "rows with the right label", right);
    for (figure, title, meaning, value) in FIGURES {
        let cells = scores.map(|(part, score)| data(&name(part, figure), value(score), short));
        body += &line("", title, meaning, cells);
        if figure == "f1" {
            let averages =
                scores.map(|(_, score)| score.average.map_or("–", Average::name).to_owned());
            body += &line(
                r#" class="sub""#,
                "of",
                "binary: of class 1; macro: the mean over classes",
                averages,
            );
        }
    }
    body += &losses(ledger, line);
    let headings: String = columns_of(view).iter().map(|name| heading(name)).collect();
    format!(
        r#"<table class="labelled"><thead><tr><td></td>{headings}</tr></thead><tbody>{body}</tbody></table>"#
    )
}

fn losses(
    ledger: Option<&LedgerSnapshot>,
    line: impl Fn(&str, &str, &str, [String; 3]) -> String,
) -> String {
    let Some(loss) = ledger.and_then(|ledger| ledger.log_loss.as_ref()) else {
        return String::new();
    };
    let figures = [
        ("all_time", &loss.all_time),
        ("last_rows", &loss.last_rows),
        ("recent", &loss.recent),
    ];
    let name = |part: &str, figure: &str| format!("ledger.log_loss.{part}.{figure}");
    let values = figures.map(|(part, loss)| data(&name(part, "value"), loss.value, short));
    let rows = figures.map(|(part, loss)| count(&name(part, "n"), loss.n));
    line(
        "",
        "Log-loss",
        "mean of −ln of the probability predicted for the true class",
        values,
    ) + &line(
        r#" class="sub""#,
        "of rows",
        "rows whose predictions came with probabilities",
        rows,
    )
}

/// The confusion matrix.
pub(super) fn confusion(matrix: &Matrix) -> String {
    let head: String = matrix
        .labels
        .iter()
        .map(|label| heading(&escape(label)))
        .collect();
    let rows = matrix.labels.iter().zip(&matrix.counts).enumerate();
    let body: String = rows
        .map(|(index, (label, counts))| {
            let own = !(matrix.has_others && index + 1 == matrix.labels.len());
            confusion_row(label, counts, own.then_some(index))
        })
        .collect();
    format!(
        r#"<div class="scroll"><table class="confusion"><caption>rows: true class; columns: predicted class</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"#
    )
}

/// `own` is the index of the right predictions, where there is one.
fn confusion_row(label: &str, counts: &[u64], own: Option<usize>) -> String {
    let cells: String = counts
        .iter()
        .enumerate()
        .map(|(index, rows)| confusion_cell(*rows, own == Some(index)))
        .collect();
    format!(r#"<tr><th scope="row">{}</th>{cells}</tr>"#, escape(label))
}

fn confusion_cell(rows: u64, is_own: bool) -> String {
    let class = match (is_own, rows) {
        (_, 0) => "none",
        (true, _) => "right",
        (false, _) => "wrong",
    };
    format!(r#"<td class="{class}">{}</td>"#, format::count(rows))
}
