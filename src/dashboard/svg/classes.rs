//! How often each class was recognised.

use super::{chart::Chart, scale::Scale};
use crate::{
    dashboard::format::{count, escape},
    stats::Matrix,
};

const HEIGHT: f64 = 300.0;

/// A name is cut to so many letters below its bar; the bar's own words have it whole.
const NAME_LETTERS_MAX: usize = 10;

/// For each true class the rows that were recognised, and on top of them those that were not.
pub(in crate::dashboard) fn classes(matrix: &Matrix) -> String {
    let bars = matrix.right_and_wrong();
    let tallest = bars.iter().map(|(_, right, wrong)| right + wrong).max();
    let y = Scale::from_zero(as_f64(tallest.unwrap_or(0))).counting();
    let x = Scale::new(-0.5, as_f64(bars.len() as u64) - 0.5);
    let mut chart = Chart::new("right and wrong predictions by true class", HEIGHT, x, y);
    // So many names fit side by side.
    let step = bars.len().div_ceil(8).max(1);
    let ticks: Vec<_> = bars
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(place, (name, _, _))| {
            let short: String = name.chars().take(NAME_LETTERS_MAX).collect();
            (as_f64(place as u64), escape(&short))
        })
        .collect();
    chart.axes("true class", "rows", &ticks);
    for (place, (name, right, wrong)) in bars.iter().enumerate() {
        bar(
            &mut chart,
            place,
            "bar",
            (0, *right),
            &format!("{}: {} right", escape(name), count(*right)),
        );
        let words = format!("{}: {} wrong", escape(name), count(*wrong));
        bar(
            &mut chart,
            place,
            "bar wrong",
            (*right, right + wrong),
            &words,
        );
    }
    chart.finish()
}

fn bar(chart: &mut Chart, place: usize, class: &str, (from, to): (u64, u64), words: &str) {
    if from == to {
        return;
    }
    let place = as_f64(place as u64);
    let (left, right) = (chart.at_x(place - 0.4), chart.at_x(place + 0.4));
    let (top, floor) = (chart.at_y(as_f64(to)), chart.at_y(as_f64(from)));
    // Even one row among millions must be seen.
    let height = (floor - top).max(0.8);
    chart.push(format_args!(
        r#"<rect class="{class}" x="{left:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"><title>{words}</title></rect>"#,
        floor - height,
        (right - left).max(0.5),
    ));
}

#[expect(clippy::cast_precision_loss, reason = "a length on the screen")]
fn as_f64(rows: u64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_right_and_wrong_rows_and_foreign_text_is_no_markup() {
        let matrix = Matrix {
            labels: vec!["<b>ant".to_owned(), "bee".to_owned()],
            counts: vec![vec![7, 2], vec![0, 4]],
            has_others: false,
        };
        let drawn = classes(&matrix);
        for words in [
            "&lt;b&gt;ant: 7 right",
            "&lt;b&gt;ant: 2 wrong",
            "bee: 4 right",
        ] {
            assert!(drawn.contains(words), "{drawn}");
        }
        assert!(!drawn.contains("bee: 0 wrong") && !drawn.contains("<b>"));
        assert!(!classes(&Matrix::default()).contains("NaN"));
    }
}
