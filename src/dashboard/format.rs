//! How numbers, times and text from outside are written on the page.

use std::fmt::Write;

/// Four significant digits; very large and very small ones with an exponent.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole_digits = size.log10().floor() + 1.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 7 by the range above"
    )]
    let decimals = (4.0 - whole_digits).clamp(0.0, 7.0) as usize;
    with_minus(format!("{value:.decimals$}"))
}

/// With a minus sign in place of the shorter hyphen.
pub(super) fn with_minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// With a comma for every thousand.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows per second and similar rates.
pub(super) fn rate(value: f64) -> String {
    if value >= 100.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is not negative, and one that saturates cannot occur"
        )]
        return count(value.round() as u64);
    }
    format!("{value:.1}")
}

/// A share of 0 to 1.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.1} %", share * 100.0);
    with_minus(text)
}

/// A length of time in its two largest units.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let parts = [
        (days, "d"),
        (hours, "h"),
        (minutes, "min"),
        (seconds % 60, "s"),
    ];
    let Some(first) = parts.iter().position(|(amount, _)| *amount > 0) else {
        return if ms == 0 {
            "0 s".to_owned()
        } else {
            format!("{ms} ms")
        };
    };
    let mut text = String::new();
    for (amount, unit) in parts
        .iter()
        .skip(first)
        .take(2)
        .filter(|(amount, _)| *amount > 0)
    {
        let gap = if text.is_empty() { "" } else { " " };
        write!(text, "{gap}{amount} {unit}").unwrap_or_default();
    }
    text
}

/// Text from outside, made harmless between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        for (value, text) in [
            (43.277_452, "43.28"),
            (0.517_748, "0.5177"),
            (-0.001_234_5, "−0.001234"),
            (123_456.7, "123457"),
            (1e12, "1.000e12"),
            (0.0, "0"),
            (9.999_99, "10.000"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn counts_rates_and_shares_are_readable() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!(
            [rate(0.0), rate(9.96), rate(12_345.6)],
            ["0.0", "10.0", "12,346"]
        );
        assert_eq!([percent(0.987_6), percent(-0.2)], ["98.8 %", "−20.0 %"]);
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let texts = [0, 12, 999, 1_000, 61_000, 3_600_000, 3_661_000, 90_061_000].map(duration);
        assert_eq!(
            texts,
            [
                "0 s",
                "12 ms",
                "999 ms",
                "1 s",
                "1 min 1 s",
                "1 h",
                "1 h 1 min",
                "1 d 1 h"
            ]
        );
    }

    #[test]
    fn text_from_outside_cannot_become_markup() {
        assert_eq!(
            escape(r#"<a b="c" d='&'>"#),
            "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;"
        );
    }
}
