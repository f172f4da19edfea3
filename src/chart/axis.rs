//! Where ticks are and what their labels say, as matplotlib's `AutoLocator` and `ScalarFormatter` decide it.
//!
//! The small charts of the web page have ticks of their own (`dashboard::svg::scale`), on purpose: they want about four ticks
//! at 1, 2 or 5 times a power of ten and labels such as `1.5M` in little room. The picture has up to ten at matplotlib's
//! steps, which include 2.5, and labels with a common offset or exponent. The two share no rule.

/// Ticks of an axis that shows `low` to `high`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticks {
    /// Inside the range, increasing.
    pub(super) at: Vec<f64>,
    /// One for each.
    pub(super) labels: Vec<String>,
    /// What each label is to be multiplied by or added to, such as `1e6` or `+3e4`; mostly empty.
    pub(super) offset: String,
    /// Unlabelled ones in between.
    pub(super) minor: Vec<f64>,
}

/// The multiples a step may be.
const STEPS: [f64; 5] = [1.0, 2.0, 2.5, 5.0, 10.0];

impl Ticks {
    /// At most `intervals + 1` round numbers; whole ones if `integer`.
    pub(super) fn linear(low: f64, high: f64, intervals: usize, integer: bool) -> Self {
        let at = linear_places(low, high, intervals.clamp(1, 9), integer);
        let (labels, offset) = labels(&at, low, high);
        Self {
            at,
            labels,
            offset,
            minor: Vec::new(),
        }
    }

    /// Powers of ten, at most `most` of them, with the digits between as minor ticks if there are not many.
    pub(super) fn logarithmic(low: f64, high: f64, most: usize) -> Self {
        let first = whole(low.log10().ceil());
        let last = whole(high.log10().floor());
        let stride = (last - first + 1).max(1).unsigned_abs() as usize / most.max(1) + 1;
        let at: Vec<i32> = (first..=last).step_by(stride).collect();
        let minor = (first - 1..=last)
            .filter(|_| stride == 1)
            .flat_map(|decade| (2..10).map(move |digit| f64::from(digit) * 10_f64.powi(decade)))
            .filter(|place| (low..=high).contains(place))
            .collect();
        Self {
            labels: at
                .iter()
                .map(|&exponent| format!("10{}", superscript(exponent)))
                .collect(),
            at: at
                .into_iter()
                .map(|exponent| 10_f64.powi(exponent))
                .collect(),
            offset: String::new(),
            minor,
        }
    }
}

fn linear_places(low: f64, high: f64, intervals: usize, integer: bool) -> Vec<f64> {
    let range = high - low;
    if !(range.is_finite() && range > 0.0) {
        return vec![low];
    }
    let intervals = f64::from(u8::try_from(intervals).unwrap_or(9));
    let scale = 10_f64.powf((range / intervals).log10().floor());
    // Far from zero, places are relative to a round number nearby, or rounding would swallow the steps.
    let middle = f64::midpoint(low, high);
    let origin = if middle.abs() / range < 100.0 {
        0.0
    } else {
        10_f64.powf(middle.abs().log10().floor()).copysign(middle)
    };
    let (low, high) = (low - origin, high - origin);
    let wanted = range / intervals;
    let candidates = [0.1, 1.0, 10.0]
        .into_iter()
        .flat_map(|decade| STEPS[..4].iter().map(move |step| step * decade * scale))
        .filter(|&step| !integer || step >= 1.0 && (step - step.round()).abs() < 1e-3)
        .chain(std::iter::once(100.0 * scale));
    let mut finest_sufficient = Vec::new();
    for step in candidates {
        finest_sufficient.push(step);
        if step >= wanted {
            break;
        }
    }
    // The smallest step that is large enough; a smaller one if that shows fewer than two ticks.
    let mut places = Vec::new();
    for &step in finest_sufficient.iter().rev() {
        places = multiples(step, low, high)
            .map(|place| place + origin)
            .collect();
        if places.len() >= 2 {
            break;
        }
    }
    places
}

/// The multiples of `step` from `low` to `high`, with a little slack for rounding.
fn multiples(step: f64, low: f64, high: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-10).ceil();
    let last = (high / step + 1e-10).floor();
    // Bounded, whatever rounding does: a picture cannot show more.
    std::iter::successors(Some(first), |place| Some(place + 1.0))
        .take_while(move |&place| place <= last)
        .take(1000)
        .map(move |place| place * step)
}

/// Labels with as few digits as distinguish the ticks.
fn labels(at: &[f64], low: f64, high: f64) -> (Vec<String>, String) {
    let offset = common_offset(at);
    let largest = at
        .iter()
        .fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
    let magnitude = match if offset == 0.0 { largest } else { high - low } {
        size if size > 0.0 => whole(size.log10().floor()),
        _ => 0,
    };
    let exponent = if magnitude <= -5 || magnitude >= 6 {
        magnitude
    } else {
        0
    };
    let scaled: Vec<f64> = at
        .iter()
        .map(|tick| (tick - offset) / 10_f64.powi(exponent))
        .collect();
    let decimals = decimals(&scaled, (high - low) / 10_f64.powi(exponent));
    let texts = scaled
        .iter()
        .map(|&value| with_minus(&format!("{value:.decimals$}")))
        .collect();
    let mut note = if exponent == 0 {
        String::new()
    } else {
        format!("1e{exponent}")
    };
    if offset != 0.0 {
        note.push_str(if offset > 0.0 { "+" } else { "" });
        note.push_str(&format!("{offset:e}").replace("e0", ""));
    }
    (texts, with_minus(&note))
}

/// What can be subtracted from all ticks, if that saves at least four digits; else zero.
fn common_offset(at: &[f64]) -> f64 {
    let (Some(&first), Some(&last)) = (at.first(), at.last()) else {
        return 0.0;
    };
    if at.len() < 2 || first <= 0.0 && last >= 0.0 {
        return 0.0;
    }
    let (small, large) = (first.abs().min(last.abs()), first.abs().max(last.abs()));
    let leading = |x: f64, exponent: i32| (x / 10_f64.powi(exponent)).floor();
    let top = whole(large.log10().ceil());
    let differs = |e: &i32| leading(small, *e) != leading(large, *e);
    let Some(mut place) = (top - 17..=top).rev().find(differs) else {
        return 0.0;
    };
    if (large - small) / 10_f64.powi(place + 1) <= 1e-2 {
        // The ticks straddle a round number: look for where they are more than one apart.
        let apart = |e: &i32| leading(large, *e) - leading(small, *e) > 1.0;
        place = (top - 17..=top).rev().find(apart).unwrap_or(place);
    }
    let head = leading(large, place + 1);
    if head >= 1000.0 {
        (head * 10_f64.powi(place + 1)).copysign(first)
    } else {
        0.0
    }
}

/// The decimals after which no value changes by more than a thousandth of the range.
fn decimals(values: &[f64], view: f64) -> usize {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| {
            (low.min(x), high.max(x))
        });
    let range = if values.len() > 1 && high > low {
        high - low
    } else {
        view.abs()
    };
    if !(range > 0.0 && range.is_finite()) {
        return 0;
    }
    let magnitude = whole(range.log10().floor());
    let threshold = 1e-3 * 10_f64.powi(magnitude);
    let enough = |decimals: i32| {
        let unit = 10_f64.powi(decimals);
        values
            .iter()
            .all(|x| (x - (x * unit).round() / unit).abs() < threshold)
    };
    let most = (3 - magnitude).clamp(0, 17);
    usize::try_from(
        (0..=most)
            .find(|&decimals| enough(decimals))
            .unwrap_or(most),
    )
    .unwrap_or(0)
}

/// `value` with four significant digits, as in legends and titles.
pub(super) fn significant(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return with_minus(&format!("{value:.3e}"));
    }
    let decimals = usize::try_from(3 - whole(size.log10().floor())).unwrap_or(0);
    with_minus(&format!("{value:.decimals$}"))
}

/// The typographic minus, as matplotlib writes it.
fn with_minus(text: &str) -> String {
    // A negative number that was rounded to zero has no sign.
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero {
        text.replace('-', "")
    } else {
        text.replace('-', "\u{2212}")
    }
}

fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    exponent
        .to_string()
        .bytes()
        .map(|byte| {
            if byte == b'-' {
                '⁻'
            } else {
                DIGITS[usize::from(byte - b'0')]
            }
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the exponent of a finite number"
)]
fn whole(exponent: f64) -> i32 {
    exponent as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(low: f64, high: f64, expected: &[&str], offset: &str) {
        let ticks = Ticks::linear(low, high, 9, false);
        assert_eq!(ticks.labels, expected, "{ticks:?}");
        assert_eq!(ticks.offset, offset);
    }

    // Expected values are what matplotlib 3.11 puts on an axis with these limits.
    #[test]
    fn ticks_and_labels_are_matplotlibs() {
        case(
            -6.827,
            158.89,
            &["0", "20", "40", "60", "80", "100", "120", "140"],
            "",
        );
        case(0.0, 11.55, &["0", "2", "4", "6", "8", "10"], "");
        case(-0.1, 1.1, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], "");
        case(0.0, 2.3e6, &["0.0", "0.5", "1.0", "1.5", "2.0"], "1e6");
        case(
            0.0,
            3.1e-7,
            &["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"],
            "1e\u{2212}7",
        );
        case(
            -27.0,
            3.0,
            &[
                "\u{2212}25",
                "\u{2212}20",
                "\u{2212}15",
                "\u{2212}10",
                "\u{2212}5",
                "0",
            ],
            "",
        );
        let around_zero = ["\u{2212}0.4", "\u{2212}0.2", "0.0", "0.2", "0.4"];
        case(99_999.5, 100_000.5, &around_zero, "+1e5");
        case(1e12 - 0.5, 1e12 + 0.5, &around_zero, "+1e12");
        let tail = [
            "6.2", "6.4", "6.6", "6.8", "7.0", "7.2", "7.4", "7.6", "7.8",
        ];
        case(123_456.2, 123_457.9, &tail, "+1.2345e5");
    }

    #[test]
    fn whole_counts_get_whole_ticks() {
        assert_eq!(Ticks::linear(0.0, 1.05, 9, true).labels, ["0", "1"]);
        assert_eq!(Ticks::linear(0.0, 2.1, 9, true).labels, ["0", "1", "2"]);
    }

    #[test]
    fn powers_of_ten_are_thinned_when_there_are_many() {
        let ticks = Ticks::logarithmic(0.7, 2e4, 9);
        assert_eq!(ticks.labels, ["10⁰", "10¹", "10²", "10³", "10⁴"]);
        assert_eq!(ticks.minor.len(), 36);
        assert!(Ticks::logarithmic(1e-30, 1e30, 9).at.len() <= 10);
    }

    #[test]
    fn no_range_however_odd_panics_or_floods() {
        for (low, high) in [
            (0.0, 0.0),
            (1.0, 1.0 + f64::EPSILON),
            (1e300, 1.1e300),
            (-1e300, 1e300),
            (0.0, 5e-324),
            (1e12 - 0.5, 1e12 + 0.5),
            (f64::NAN, 1.0),
        ] {
            let ticks = Ticks::linear(low, high, 9, false);
            assert!(
                ticks.at.len() <= 1000 && ticks.at.len() == ticks.labels.len(),
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn four_digits_are_enough_for_a_title() {
        for (value, expected) in [
            (43.277_452, "43.28"),
            (0.001_234_56, "0.001235"),
            (123_456.0, "123456"),
            (1e12, "1.000e12"),
            (-2.0, "\u{2212}2.000"),
        ] {
            assert_eq!(significant(value), expected);
        }
    }
}
