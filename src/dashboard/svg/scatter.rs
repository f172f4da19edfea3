//! Predicted against true values.

use super::{
    chart::{Chart, line, push},
    scale::Scale,
};

const HEIGHT: f64 = 300.0;

/// A sample of all rows, the newest rows on top, and the line on which perfect predictions lie.
pub(in crate::dashboard) fn scatter(sample: &[[f64; 2]], latest: &[[f64; 2]]) -> String {
    let values = || sample.iter().chain(latest).flatten().copied();
    let scale = Scale::new(
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    let mut chart = Chart::new("predicted against true values", HEIGHT, scale, scale);
    let ticks = scale.ticks(6);
    chart.axes("y_true", "y_pred", &ticks);
    let ends = [scale.low(), scale.high()].map(|end| (chart.at_x(end), chart.at_y(end)));
    let diagonal = line(ends);
    chart.push(format_args!(
        r#"<path class="diagonal" d="{diagonal}"><title>perfect predictions</title></path>"#
    ));
    let (sample, latest) = (dots(&chart, sample), dots(&chart, latest));
    chart.push(format_args!(
        r#"<path class="sample" d="{sample}"/><path class="latest" d="{latest}"/>"#
    ));
    chart.finish()
}

/// Lines of length zero, whose round ends look like dots: one short path in place of hundreds of circles.
fn dots(chart: &Chart, pairs: &[[f64; 2]]) -> String {
    let mut path = String::with_capacity(pairs.len() * 14);
    for [y_true, y_pred] in pairs {
        push(
            &mut path,
            format_args!("M{:.1} {:.1}h0", chart.at_x(*y_true), chart.at_y(*y_pred)),
        );
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_a_dot_and_a_perfect_one_is_on_the_line() {
        let drawn = scatter(&[[0.0, 0.0], [10.0, 10.0], [5.0, 5.0]], &[[2.0, 8.0]]);
        assert_eq!(drawn.matches("h0").count(), 4);
        assert!(
            drawn.contains(r#"class="diagonal" d="M44.0 266.0L432.0 20.0""#),
            "{drawn}"
        );
        assert!(drawn.contains("M238.0 143.0h0"), "{drawn}");
    }
}
