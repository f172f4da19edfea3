//! How often each class was predicted correctly.

use super::{
    chart::{Chart, as_f64},
    scale::Scale,
};
use crate::{
    dashboard::format::{count, escape},
    stats::Matrix,
};

const HEIGHT: f64 = 300.0;

/// Letters of a name that fit below its bar; the tooltip of the bar has the whole name.
const NAME_LETTERS_MAX: usize = 10;

/// For each true class the rows with the right label, and on top of them those with a wrong one.
pub(in crate::dashboard) fn classes(matrix: &Matrix) -> String {
    let bars = matrix.right_and_wrong();
    let tallest = bars.iter().map(|(_, right, wrong)| right + wrong).max();
    let y = Scale::from_zero(as_f64(tallest.unwrap_or(0))).counting();
    let x = Scale::new(-0.5, as_f64(bars.len() as u64) - 0.5);
    let mut chart = Chart::new("right and wrong predictions by true class", HEIGHT, x, y);
    // At most eight names fit side by side.
    let step = bars.len().div_ceil(8).max(1);
    let ticks: Vec<_> = bars
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(index, (name, _, _))| {
            let short: String = name.chars().take(NAME_LETTERS_MAX).collect();
            (as_f64(index as u64), escape(&short))
        })
        .collect();
    chart.axes("true class", "rows", &ticks);
    for (index, (name, right, wrong)) in bars.iter().enumerate() {
        bar(
            &mut chart,
            index,
            "bar",
            (0, *right),
            &format!("{}: {} right", escape(name), count(*right)),
        );
        let tooltip = format!("{}: {} wrong", escape(name), count(*wrong));
        bar(
            &mut chart,
            index,
            "bar wrong",
            (*right, right + wrong),
            &tooltip,
        );
    }
    chart.finish()
}

fn bar(chart: &mut Chart, index: usize, class: &str, (low, high): (u64, u64), tooltip: &str) {
    if low == high {
        return;
    }
    let index = as_f64(index as u64);
    let sides = (index - 0.4, index + 0.4);
    chart.bar(class, sides, (as_f64(low), as_f64(high)), tooltip);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_right_and_wrong_rows_and_labels_are_escaped() {
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
