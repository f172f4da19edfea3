//! The picture against numpy, scipy and seaborn (fixtures of `scripts/picture_reference.py`), and as bytes.

use proptest::prelude::*;
use residual::{
    chart::{self, ChartError, Config, Counts, Format, Mark},
    stats::{Distribution, ErrorKind, ErrorView, Shape, Snapshot},
};
use serde::Deserialize;

/// What the development-time script wrote.
#[derive(Deserialize)]
struct Reference {
    case: Case,
    edges: Vec<f64>,
    counts: Vec<u64>,
    curve: Option<Curve>,
    mean: f64,
    p50: f64,
    p95: f64,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    generator: String,
    #[serde(default)]
    n: usize,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    more: Vec<f64>,
}

#[derive(Deserialize)]
struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
}

/// The script's generator.
fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let upper = (state >> 11) as f64;
        upper / 9_007_199_254_740_992.0
    }
}

fn bell(n: usize, seed: u64) -> Vec<f64> {
    let mut u = uniforms(seed);
    std::iter::repeat_with(|| (u() + u() + u() + u() - 2.0).abs() * 50.0)
        .take(n)
        .collect()
}

impl Case {
    fn values(&self) -> Vec<f64> {
        let mut values = match self.generator.as_str() {
            "" => self.values.clone(),
            "bell" => bell(self.n, self.seed),
            "pareto" => {
                let mut u = uniforms(self.seed);
                let rest = || 1.0 - u();
                std::iter::repeat_with(rest)
                    .map(|r| 1.0 / (r * r))
                    .take(self.n)
                    .collect()
            }
            other => panic!("unknown generator {other}"),
        };
        values.extend(&self.more);
        values
    }
}

/// Errors are given as predictions of a zero truth. The signed error is compared: it is the value itself.
fn shape_of(values: &[f64]) -> Shape {
    let mut distribution = Distribution::new();
    distribution.extend(values.iter().map(|&x| (0.0, x)));
    distribution.snapshot(ErrorView::Signed).shapes.remove(0)
}

/// Compares with the fixture; the curve may deviate by `tolerance` of its peak.
#[track_caller]
fn parity(fixture: &str, tolerance: f64) {
    let reference: Reference = serde_json::from_str(fixture).unwrap();
    let shape = shape_of(&reference.case.values());
    assert_eq!(shape.histogram.counts, reference.counts);
    assert_eq!(shape.histogram.edges.len(), reference.edges.len());
    let range = reference.edges.last().unwrap() - reference.edges[0];
    close(&shape.histogram.edges, &reference.edges, 1e-15 * range);
    let size = reference.mean.abs().max(1e-4 * range);
    close(&[shape.mean], &[reference.mean], 1e-11 * size);
    close(
        &[shape.median, shape.p95],
        &[reference.p50, reference.p95],
        1e-15 * reference.p95.abs(),
    );
    assert_eq!(shape.curve.is_some(), reference.curve.is_some());
    if let (Some(ours), Some(theirs)) = (shape.curve, reference.curve) {
        close(&ours.x, &theirs.x, 1e-15 * range);
        let peak = theirs.y.iter().copied().fold(0.0, f64::max);
        close(&ours.y, &theirs.y, tolerance * peak);
    }
}

#[track_caller]
fn close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    let worst = actual
        .iter()
        .zip(expected)
        .map(|(a, e)| (a - e).abs())
        .fold(0.0, f64::max);
    assert!(
        worst <= tolerance,
        "off by {worst:e}, allowed {tolerance:e}"
    );
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/picture/", $name, ".json"))
    };
}

#[test]
fn two_values_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("two"), 1e-12);
}

#[test]
fn thirty_six_values_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("thirty_six"), 1e-12);
}

#[test]
fn ten_thousand_values_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("ten_thousand"), 1e-5);
}

#[test]
fn a_million_values_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("million"), 1e-5);
}

#[test]
fn a_constant_has_one_bin_and_no_curve_as_by_seaborn() {
    parity(fixture!("constant"), 0.0);
}

#[test]
fn two_valued_data_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("two_valued"), 1e-12);
}

#[test]
fn heavy_tails_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("heavy_tailed"), 1e-9);
}

#[test]
fn outliers_of_a_trillion_are_binned_and_smoothed_as_by_seaborn() {
    parity(fixture!("outliers"), 1e-9);
}

fn snapshot(pairs: &[(f64, f64)], view: ErrorView) -> Snapshot {
    let mut distribution = Distribution::new();
    distribution.extend(pairs.iter().copied());
    distribution.snapshot(view)
}

fn bell_snapshot(n: usize, view: ErrorView) -> Snapshot {
    let pairs: Vec<_> = bell(n, 9).into_iter().zip(bell(n, 10)).collect();
    snapshot(&pairs, view)
}

fn svg(snapshot: &Snapshot, config: &Config) -> String {
    String::from_utf8(chart::render(snapshot, config, Format::Svg).unwrap())
        .expect("an SVG is UTF-8")
}

/// The texts of an SVG, in order.
fn texts(svg: &str) -> Vec<&str> {
    let inside = |part: &'static str| move |text: &str| text.contains(part);
    assert!(svg.split("<text").skip(1).all(inside("</text>")));
    svg.split("<text")
        .skip(1)
        .map(|rest| {
            rest.split_once('>')
                .unwrap()
                .1
                .split_once("</text>")
                .unwrap()
                .0
                .trim()
        })
        .collect()
}

struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    fn new(snapshot: &Snapshot, config: &Config) -> Self {
        let bytes = chart::render(snapshot, config, Format::Png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        Self {
            width: info.width,
            height: info.height,
            pixels,
        }
    }

    fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y * self.width + x) as usize;
        self.pixels[at..at + 3].try_into().unwrap()
    }
}

const WHITE: [u8; 3] = [255, 255, 255];
const BAR: [u8; 3] = [255, 210, 128];
const BLACK: [u8; 3] = [0, 0, 0];

#[test]
fn bars_stand_where_matplotlib_puts_them() {
    // Ten rows of one error and five of another: Sturges gives five bins from 0 to 10.
    let mut pairs = vec![(0.0, 0.0); 10];
    pairs.extend([(0.0, 10.0); 5]);
    let config = Config {
        curve: false,
        ..Config::default()
    };
    let snapshot = snapshot(&pairs, ErrorView::Absolute);
    assert_eq!(snapshot.shapes[0].histogram.counts, [10, 0, 0, 0, 5]);
    let picture = Picture::new(&snapshot, &config);
    assert_eq!((picture.width, picture.height), (1000, 500));
    // The axes are 775 x 385 px from (125, 60); the data take 10/11 of the width and 1/1.05 of the height.
    let (left, width, bottom, height) = (125.0 + 775.0 / 22.0, 775.0 / 1.1, 445.0, 385.0 / 1.05);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "inside"
    )]
    let at = |x: f64, count: f64| {
        picture.at(
            (left + width * x / 10.0) as u32,
            (bottom - height * count / 10.0) as u32,
        )
    };
    assert_eq!(at(1.0, 0.3), BAR);
    assert_eq!(at(1.0, 9.8), BAR);
    assert_eq!(at(1.0, 10.3), WHITE);
    assert_eq!(at(3.0, 0.3), WHITE);
    assert_eq!(at(9.0, 4.8), BAR);
    assert_eq!(at(9.0, 5.3), WHITE);
    // Frame, and the edges of bars.
    assert_eq!(picture.at(125, 200), BLACK);
    assert_eq!(picture.at(900, 200), BLACK);
    assert_eq!(picture.at(500, 60), BLACK);
    assert_eq!(picture.at(500, 445), BLACK);
    assert_eq!(picture.at(160, 300), BLACK);
    assert_eq!(picture.at(200, 78), BLACK);
    assert_eq!(picture.at(50, 20), WHITE);
}

#[test]
fn the_curve_is_drawn_in_the_colour_of_the_settings() {
    let snapshot = bell_snapshot(400, ErrorView::Absolute);
    let config = Config {
        color: "steelblue".parse().unwrap(),
        ..Config::default()
    };
    let count = |config: &Config| {
        Picture::new(&snapshot, config)
            .pixels
            .chunks(3)
            .filter(|p| *p == [70, 130, 180])
            .count()
    };
    assert!(count(&config) > 500);
    assert_eq!(
        count(&Config {
            curve: false,
            ..config
        }),
        0
    );
    assert_eq!(count(&Config::default()), 0);
}

#[test]
fn no_rows_and_one_row_give_a_picture_that_says_so() {
    let config = Config::default();
    let empty = snapshot(&[], ErrorView::Absolute);
    assert_eq!(
        texts(&svg(&empty, &config)),
        ["absolute_error", "Count", "no rows yet"]
    );
    let one = snapshot(&[(1.0, 3.5)], ErrorView::Absolute);
    assert!(texts(&svg(&one, &config)).contains(&"one row: absolute_error = 2.500"));
    let same = snapshot(&[(1.0, 3.5); 3], ErrorView::Absolute);
    assert!(texts(&svg(&same, &config)).contains(&"all 3 rows: absolute_error = 2.500"));
    for snapshot in [empty, one, same] {
        let picture = Picture::new(&snapshot, &config);
        let middle = (240..252).flat_map(|y| (400..600).map(move |x| (x, y)));
        assert!(
            middle.into_iter().any(|(x, y)| picture.at(x, y) == BLACK),
            "no note"
        );
    }
}

#[test]
fn every_option_shows() {
    let snapshot = bell_snapshot(1000, ErrorView::Both);
    let config = Config {
        view: ErrorView::Both,
        counts: Counts::Log,
        marks: vec![Mark::Mean, Mark::Median, Mark::P95],
        title: true,
        ..Config::default()
    };
    let svg = svg(&snapshot, &config);
    let texts = texts(&svg);
    let mae = snapshot.report.mae.unwrap();
    let title = texts
        .iter()
        .find(|text| text.starts_with("n = 1000, MAE = "))
        .unwrap();
    assert!(title.contains(&format!("{mae:.2}")), "{title}");
    for expected in ["absolute_error", "signed_error", "10⁰", "10²"] {
        assert!(texts.contains(&expected), "{expected} of {texts:?}");
    }
    let shape = snapshot.shape(ErrorKind::Absolute).unwrap();
    let median = format!("median {:.2}", shape.median);
    assert!(texts.contains(&median.as_str()), "{median} of {texts:?}");
    assert_eq!(
        texts
            .iter()
            .filter(|text| text.starts_with("95 % "))
            .count(),
        2
    );
}

#[test]
fn twice_the_size_at_twice_the_dpi_is_the_same_picture() {
    let snapshot = bell_snapshot(300, ErrorView::Absolute);
    let small = Picture::new(&snapshot, &Config::default());
    let config = Config {
        width: 2000,
        height: 1000,
        dpi: 200,
        ..Config::default()
    };
    let large = Picture::new(&snapshot, &config);
    // Averages of 20 x 20 px blocks agree; edges may fall on either side of a pixel.
    let grey = |picture: &Picture, scale: u32, x: u32, y: u32| {
        let block = (y..y + 20 * scale).flat_map(|y| (x..x + 20 * scale).map(move |x| (x, y)));
        let sum: u32 = block
            .flat_map(|(x, y)| picture.at(x, y))
            .map(u32::from)
            .sum();
        sum / (scale * scale * 400 * 3)
    };
    for y in (0..500).step_by(20) {
        for x in (0..1000).step_by(20) {
            let difference = grey(&small, 1, x, y).abs_diff(grey(&large, 2, 2 * x, 2 * y));
            assert!(difference <= 16, "{difference} at {x}, {y}");
        }
    }
}

#[test]
fn an_svg_has_the_size_of_the_png_and_names_its_fonts() {
    let svg = svg(&bell_snapshot(50, ErrorView::Absolute), &Config::default());
    assert!(
        svg.starts_with("<svg width=\"1000\" height=\"500\" "),
        "{}",
        &svg[..100]
    );
    assert!(svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("font-family=\"DejaVu Sans, "));
    assert!(svg.contains("sans-serif\""));
}

#[test]
fn the_same_snapshot_gives_the_same_bytes() {
    for format in [Format::Png, Format::Svg] {
        let make = || {
            chart::render(
                &bell_snapshot(500, ErrorView::Absolute),
                &Config::default(),
                format,
            )
        };
        assert!(make().unwrap() == make().unwrap());
    }
}

#[test]
fn two_thousand_bins_make_no_larger_a_picture_than_the_pixels_can_show() {
    let values: Vec<f64> = bell(1_000_000, 5).into_iter().chain([1e12]).collect();
    let pairs: Vec<_> = values.into_iter().map(|x| (0.0, x)).collect();
    let snapshot = snapshot(&pairs, ErrorView::Absolute);
    assert!(snapshot.shapes[0].histogram.counts.len() > 1000);
    assert!(svg(&snapshot, &Config::default()).len() < 200_000);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let snapshot = bell_snapshot(10, ErrorView::Absolute);
    let render = |config: Config| chart::render(&snapshot, &config, Format::Png);
    for (width, height) in [(0, 500), (99, 500), (10_001, 500), (10_000, 10_000)] {
        let result = render(Config {
            width,
            height,
            ..Config::default()
        });
        assert!(
            matches!(result, Err(ChartError::Size { .. })),
            "{width} {height}"
        );
    }
    let result = render(Config {
        dpi: 0,
        ..Config::default()
    });
    assert!(matches!(result, Err(ChartError::Dpi(0))));
    let error = render(Config {
        view: ErrorView::Both,
        ..Config::default()
    })
    .unwrap_err();
    assert!(error.to_string().contains("signed_error"), "{error}");
}

#[test]
fn settings_are_read_strictly() {
    let read = |json: &str| serde_json::from_str::<Config>(json);
    assert_eq!(read("{}").unwrap(), Config::default());
    let config =
        read(r##"{"color": "#336699", "counts": "log", "view": "both", "marks": ["p95"]}"##);
    let config = config.unwrap();
    assert_eq!((config.counts, config.view), (Counts::Log, ErrorView::Both));
    assert_eq!(
        read(&serde_json::to_string(&config).unwrap()).unwrap(),
        config
    );
    assert!(
        read(r#"{"colour": "red"}"#)
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
    assert!(
        read(r#"{"color": "reddish"}"#)
            .unwrap_err()
            .to_string()
            .contains("`reddish`")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_give_a_picture_without_nan(
        rows in prop::collection::vec((any::<f64>(), any::<f64>()), 0..40),
        small in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 0..40),
        log in any::<bool>(),
    ) {
        let config = Config {
            width: 200,
            height: 100,
            dpi: 40,
            counts: if log { Counts::Log } else { Counts::Linear },
            view: ErrorView::Both,
            marks: vec![Mark::Mean, Mark::P95],
            title: true,
            ..Config::default()
        };
        let rows: Vec<_> = rows.into_iter().chain(small).collect();
        let snapshot = snapshot(&rows, ErrorView::Both);
        prop_assert!(chart::render(&snapshot, &config, Format::Png).is_ok());
        let svg = svg(&snapshot, &config);
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
    }
}
