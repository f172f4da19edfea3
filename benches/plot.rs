//! What a picture costs: `cargo bench --bench plot [-- ROWS...]`, by default 10^4 to 10^7 rows; 10^8 on demand.
//!
//! Prints, never asserts. For each number of rows: adding all (rows are made block by block, and making them is not
//! counted), a snapshot, PNG and SVG bytes; and the sum of what a cold picture needs. A cost per row is that of the best
//! block of 65536, others are the best of five; the sum contains the whole time of adding, with
//! whatever else the machine did.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(
    clippy::expect_used,
    reason = "a bench that cannot go on should stop there"
)]

use std::time::{Duration, Instant};

use residual::{
    chart::{Config, Format, render},
    stats::{Distribution, ErrorView, Snapshot, Summary},
};

fn main() {
    let asked: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let rows = if asked.is_empty() {
        vec![10_000, 1_000_000, 10_000_000]
    } else {
        asked
    };
    println!(
        "       rows   ns/row   (summary alone)   snapshot     PNG       SVG    cold PNG   bytes"
    );
    for n in rows {
        measure(n);
    }
}

fn measure(n: u64) {
    let mut distribution = Distribution::new();
    let mut summary = Summary::new();
    let (mut adding, mut row, mut summary_row) = (Duration::ZERO, f64::MAX, f64::MAX);
    let mut state = 1;
    let mut left = n;
    while left > 0 {
        let block = rows(left.min(1 << 16), &mut state);
        left -= block.len() as u64;
        let time = timed(|| distribution.extend(block.iter().copied())).1;
        adding += time;
        row = row.min(per_row(time, block.len()));
        let time = timed(|| summary.extend(block.iter().copied())).1;
        summary_row = summary_row.min(per_row(time, block.len()));
    }
    assert_eq!(summary.n(), n);
    let config = Config::default();
    let (snapshot, snapping) = best(|| distribution.snapshot(ErrorView::Absolute));
    let draw = |format| best(|| render(&snapshot, &config, format).expect("default settings"));
    let (png, drawing) = draw(Format::Png);
    let (_, drawing_svg) = draw(Format::Svg);
    assert_eq!(total(&snapshot), n);
    println!(
        "{n:>11} {:>8.2} {:>17.2} {:>7.2} ms {:>6.2} ms {:>6.2} ms {:>8.2} ms {:>7}",
        row,
        summary_row,
        ms(snapping),
        ms(drawing),
        ms(drawing_svg),
        ms(adding + snapping + drawing),
        png.len(),
    );
}

/// Pairs whose errors are bell-shaped, from a linear congruential generator.
fn rows(n: u64, state: &mut u64) -> Vec<(f64, f64)> {
    let mut uniform = || {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        f64::from(u32::try_from(*state >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    };
    (0..n)
        .map(|_| {
            let y_true = 300.0 * uniform();
            (
                y_true,
                y_true + 50.0 * (uniform() + uniform() + uniform() + uniform() - 2.0),
            )
        })
        .collect()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn best<T>(work: impl Fn() -> T) -> (T, Duration) {
    let (result, first) = timed(&work);
    (
        result,
        (0..4).map(|_| timed(&work).1).fold(first, Duration::min),
    )
}

fn total(snapshot: &Snapshot) -> u64 {
    snapshot
        .shapes
        .iter()
        .map(|shape| shape.histogram.total())
        .sum()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
fn per_row(duration: Duration, n: usize) -> f64 {
    duration.as_secs_f64() * 1e9 / n as f64
}
