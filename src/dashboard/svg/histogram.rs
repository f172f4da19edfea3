//! The histogram of the error.

use super::{
    chart::{BOTTOM, Chart, TOP, as_f64, line},
    scale::Scale,
};
use crate::{
    dashboard::format::{count, short},
    stats::Shape,
};

const HEIGHT: f64 = 300.0;

/// More bars than this cannot be distinguished; neighbouring bins are drawn as one bar.
const BARS_MAX: usize = 110;

/// Bars and the density, with mean and 95 % quantile marked.
pub(in crate::dashboard) fn histogram(shape: &Shape) -> String {
    let MergedBins {
        edges,
        counts,
        bins_per_bar,
    } = merge_bins(&shape.histogram.edges, &shape.histogram.counts);
    let (Some(low), Some(high)) = (edges.first(), edges.last()) else {
        return String::new();
    };
    let curve = shape.curve.as_ref();
    let peak = curve.map_or(0.0, |curve| {
        curve.y.iter().copied().fold(0.0, f64::max) * bins_per_bar
    });
    let highest = counts.iter().copied().max().unwrap_or(0);
    let y = Scale::from_zero(peak.max(as_f64(highest))).counting();
    let label = format!("histogram of {}", shape.kind.name());
    let mut chart = Chart::new(&label, HEIGHT, Scale::new(*low, *high), y);
    let ticks = chart.x.ticks(6);
    chart.axes(&shape.kind.name().replace('_', " "), "rows", &ticks);
    for (edge, rows) in edges.windows(2).zip(&counts).filter(|(_, rows)| **rows > 0) {
        let tooltip = format!(
            "{} to {}: {} rows",
            short(edge[0]),
            short(edge[1]),
            count(*rows)
        );
        let sides = (edge[0], edge[1]);
        chart.bar("bar", sides, (0.0, as_f64(*rows)), &tooltip);
    }
    if let Some(curve) = curve {
        let points = curve
            .x
            .iter()
            .zip(&curve.y)
            .map(|(x, y)| (chart.at_x(*x), chart.at_y(y * bins_per_bar)));
        let path = line(points);
        chart.push(format_args!(r#"<path class="curve" d="{path}"/>"#));
    }
    for (value, name) in [(shape.mean, "mean"), (shape.p95, "p95")] {
        let x = chart.at_x(value);
        chart.push(format_args!(
            r#"<path class="mark" d="M{x:.1} {:.1}V{:.1}"><title>{name} {}</title></path>"#,
            TOP,
            HEIGHT - BOTTOM,
            short(value),
        ));
        chart.note(x, TOP + 8.0, name);
    }
    chart.finish()
}

/// Bins of the histogram, as many as can be drawn.
struct MergedBins {
    edges: Vec<f64>,
    counts: Vec<u64>,
    /// Bins in one bar; the curve is scaled by the same factor.
    bins_per_bar: f64,
}

fn merge_bins(edges: &[f64], counts: &[u64]) -> MergedBins {
    let bins_per_bar = counts.len().div_ceil(BARS_MAX).max(1);
    let last = edges.last().copied();
    let firsts = edges
        .iter()
        .take(counts.len())
        .step_by(bins_per_bar)
        .copied();
    MergedBins {
        edges: firsts.chain(last).collect(),
        counts: counts
            .chunks(bins_per_bar)
            .map(|bins| bins.iter().sum())
            .collect(),
        bins_per_bar: as_f64(bins_per_bar as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_bins_keep_every_row_and_both_ends() {
        let edges: Vec<f64> = (0..=1_000).map(f64::from).collect();
        let counts: Vec<u64> = (0..1_000).collect();
        let drawn = merge_bins(&edges, &counts);
        assert!(drawn.counts.len() <= BARS_MAX);
        assert_eq!(drawn.edges.len(), drawn.counts.len() + 1);
        assert_eq!(drawn.counts.iter().sum::<u64>(), counts.iter().sum::<u64>());
        assert_eq!(
            (
                drawn.edges[0],
                *drawn.edges.last().unwrap(),
                drawn.bins_per_bar
            ),
            (0.0, 1_000.0, 10.0)
        );
    }

    #[test]
    fn few_bins_stay_as_they_are() {
        let drawn = merge_bins(&[0.0, 1.0, 2.0], &[3, 4]);
        assert_eq!(
            (drawn.edges, drawn.counts, drawn.bins_per_bar),
            (vec![0.0, 1.0, 2.0], vec![3, 4], 1.0)
        );
    }
}
