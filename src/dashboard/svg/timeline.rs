//! The error over time or over rows, with the 95 % interval of its mean as a band.

use super::{
    chart::{BOTTOM, Chart, LEFT, RIGHT, TOP, WIDTH, as_f64, line},
    scale::Scale,
};
use crate::{
    dashboard::format::{count, duration, short},
    stats::{
        Change,
        live::{Bucket, Timeline},
    },
};

const HEIGHT: f64 = 210.0;

/// What the horizontal axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum Axis {
    /// Milliseconds; shown as time before now.
    Time,
    /// Row numbers.
    Rows,
}

/// The error (`error_name` says which) with its 95 % band. `levels` are drawn as horizontal lines with names, `changes`
/// as vertical ones.
pub(in crate::dashboard) fn timeline(
    timeline: &Timeline,
    axis: Axis,
    levels: &[(&str, Option<f64>)],
    error_name: &str,
    changes: &[Change],
) -> String {
    let highest = timeline
        .buckets
        .iter()
        .map(|bucket| bucket.mae)
        .fold(0.0, f64::max);
    let banded = timeline
        .buckets
        .iter()
        .map(|bucket| bucket.mae + bucket.half.unwrap_or(0.0));
    let levels: Vec<_> = levels
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .collect();
    let level = levels.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    // The band of a bucket with two rows can be extremely wide; it must not flatten the line.
    let high = banded
        .fold(highest, f64::max)
        .min(highest * 1.8)
        .max(level.min(highest * 2.5));
    let x = Scale::new(as_f64(timeline.from), as_f64(timeline.to));
    let mut chart = Chart::new(
        &format!("{error_name} with its 95 % band"),
        HEIGHT,
        x,
        Scale::from_zero(high),
    );
    let (name, ticks) = match axis {
        Axis::Time => ("time", time_ticks(timeline)),
        Axis::Rows => ("row", x.counting().ticks(5)),
    };
    chart.axes(name, error_name, &ticks);
    for change in changes {
        draw_change(&mut chart, timeline, axis, change);
    }
    for run in runs(timeline) {
        draw_run(&mut chart, timeline, axis, run);
    }
    let top = chart.y.high();
    for (name, value) in levels.into_iter().filter(|(_, value)| *value <= top) {
        let y = chart.at_y(value);
        chart.push(format_args!(
            r#"<path class="level" d="M{} {y:.1}H{}"><title>{name} {}</title></path>"#,
            LEFT,
            WIDTH - RIGHT,
            short(value),
        ));
        // In the middle, because the newest value is on the right and the name of the axis on the left.
        chart.note(WIDTH / 2.0, y - 3.5, name);
    }
    chart.finish()
}

fn draw_run(chart: &mut Chart, timeline: &Timeline, axis: Axis, run: &[Bucket]) {
    let middle = |bucket: &Bucket| as_f64(bucket.from) + as_f64(timeline.step) / 2.0;
    let upper = run.iter().map(|one| {
        (
            chart.at_x(middle(one)),
            chart.at_y(one.mae + one.half.unwrap_or(0.0)),
        )
    });
    let lower = run.iter().rev().map(|one| {
        (
            chart.at_x(middle(one)),
            chart.at_y(one.mae - one.half.unwrap_or(0.0)),
        )
    });
    let band = line(upper.chain(lower));
    let mean = line(
        run.iter()
            .map(|one| (chart.at_x(middle(one)), chart.at_y(one.mae))),
    );
    chart.push(format_args!(
        r#"<path class="band" d="{band}Z"/><path class="line" d="{mean}"/>"#
    ));
    for one in run {
        let (x, y) = (chart.at_x(middle(one)), chart.at_y(one.mae));
        let position = match axis {
            Axis::Time => format!("{} ago", duration(timeline.to.saturating_sub(one.from))),
            Axis::Rows => format!("rows from {}", count(one.from)),
        };
        chart.push(format_args!(
            r#"<circle class="dot" cx="{x:.1}" cy="{y:.1}" r="2"><title>{position}: {}{} ({} rows)</title></circle>"#,
            short(one.mae),
            one.half.map(|half| format!(" ± {}", short(half))).unwrap_or_default(),
            count(one.n),
        ));
    }
}

/// A vertical line, if the timeline shows the position of the change.
fn draw_change(chart: &mut Chart, timeline: &Timeline, axis: Axis, change: &Change) {
    let position = match axis {
        Axis::Time => change.at_ms,
        Axis::Rows => Some(change.row),
    };
    let Some(position) =
        position.filter(|position| (timeline.from..=timeline.to).contains(position))
    else {
        return;
    };
    let (x, floor) = (chart.at_x(as_f64(position)), chart.height - BOTTOM);
    chart.push(format_args!(
        r#"<path class="change" d="M{x:.1} {}V{floor}"><title>changed at row {}: {} → {}</title></path>"#,
        TOP,
        count(change.row),
        short(change.mae_before),
        short(change.mae_after),
    ));
}

/// Runs of buckets without a gap between them.
fn runs(timeline: &Timeline) -> impl Iterator<Item = &[Bucket]> {
    timeline
        .buckets
        .chunk_by(|one, next| next.from <= one.from + timeline.step)
}

/// Round steps back from the end, such as whole minutes.
fn time_ticks(timeline: &Timeline) -> Vec<(f64, String)> {
    const STEPS_MS: [u64; 12] = [
        1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
        21_600_000, 86_400_000,
    ];
    let length = timeline.to.saturating_sub(timeline.from);
    let step = STEPS_MS
        .into_iter()
        .find(|step| length / step <= 6)
        .unwrap_or(length.max(1));
    let text = |before| {
        if before == 0 {
            "now".to_owned()
        } else {
            format!("−{}", duration(before))
        }
    };
    (0..=length / step)
        .map(|position| position * step)
        .map(|before| (as_f64(timeline.to - before), text(before)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(from: u64, mae: f64) -> Bucket {
        Bucket {
            from,
            n: 3,
            mae,
            half: Some(1.0),
        }
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let buckets = vec![bucket(0, 1.0), bucket(10, 2.0), bucket(40, 3.0)];
        let drawn = timeline(
            &Timeline {
                from: 0,
                to: 60,
                step: 10,
                buckets,
            },
            Axis::Rows,
            &[],
            "mean absolute error",
            &[],
        );
        assert_eq!(drawn.matches(r#"class="line""#).count(), 2);
        assert_eq!(drawn.matches("<circle").count(), 3);
    }

    #[test]
    fn a_change_is_marked_where_the_timeline_shows_it() {
        let change = |row, at_ms| Change {
            row,
            at_ms,
            mae_before: 4.0,
            mae_after: 6.0,
        };
        let whole = Timeline {
            from: 1,
            to: 101,
            step: 10,
            buckets: vec![bucket(1, 1.0)],
        };
        let changes = [
            change(51, Some(7)),
            change(900, Some(51)),
            change(900, None),
        ];
        let by_rows = timeline(&whole, Axis::Rows, &[], "mean absolute error", &changes);
        let by_time = timeline(&whole, Axis::Time, &[], "mean absolute error", &changes);
        // Half of the way between the left and the right end of the axis.
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        for (drawn, marks, row) in [(by_rows, 1, "51"), (by_time, 2, "900")] {
            assert_eq!(drawn.matches(r#"class="change""#).count(), marks);
            assert!(
                drawn.contains(&format!(r#"class="change" d="M{middle:.1} "#)),
                "{drawn}"
            );
            assert!(
                drawn.contains(&format!("changed at row {row}: 4")),
                "{drawn}"
            );
        }
    }

    #[test]
    fn time_is_counted_back_from_now() {
        let timeline = Timeline {
            from: 1_000_000,
            to: 1_300_000,
            step: 5_000,
            buckets: Vec::new(),
        };
        let texts: Vec<_> = time_ticks(&timeline)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            texts,
            ["now", "−1 min", "−2 min", "−3 min", "−4 min", "−5 min"]
        );
    }

    #[test]
    fn huge_values_give_finite_coordinates() {
        let buckets = vec![bucket(0, f64::MAX), bucket(10, 1.0)];
        let drawn = timeline(
            &Timeline {
                from: 0,
                to: 20,
                step: 10,
                buckets,
            },
            Axis::Rows,
            &[("baseline", Some(f64::MAX))],
            "mean absolute error",
            &[],
        );
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
