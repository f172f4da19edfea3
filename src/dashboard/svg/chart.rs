//! A chart while it is drawn: axes, ticks, notes, and where a value lies on the screen.

use std::fmt::Write;

use super::scale::Scale;

pub(super) const WIDTH: f64 = 440.0;
pub(super) const LEFT: f64 = 44.0;
pub(super) const RIGHT: f64 = 8.0;
pub(super) const TOP: f64 = 20.0;
pub(super) const BOTTOM: f64 = 34.0;

/// A chart while it is drawn.
pub(super) struct Chart {
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
    svg: String,
}

impl Chart {
    /// `label` describes the chart to screen readers.
    pub(super) fn new(label: &str, height: f64, x: Scale, y: Scale) -> Self {
        let mut svg = String::with_capacity(8 << 10);
        push(
            &mut svg,
            format_args!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">"#),
        );
        Self { height, x, y, svg }
    }

    pub(super) fn push(&mut self, part: std::fmt::Arguments<'_>) {
        push(&mut self.svg, part);
    }

    pub(super) fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn at_y(&self, value: f64) -> f64 {
        let floor = self.height - BOTTOM;
        floor - self.y.share(value) * (floor - TOP)
    }

    /// Grid lines, ticks and titles, drawn before everything else.
    pub(super) fn axes(&mut self, x_title: &str, y_title: &str, x_ticks: &[(f64, String)]) {
        let (floor, right) = (self.height - BOTTOM, WIDTH - RIGHT);
        for (value, text) in self.y.ticks(5) {
            let y = self.at_y(value);
            self.push(format_args!(
                r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
                LEFT - 5.0,
                y + 3.5,
            ));
        }
        for (value, text) in x_ticks {
            let x = self.at_x(*value);
            let anchor = if x > right - 14.0 { "end" } else { "middle" };
            self.push(format_args!(
                r#"<path class="notch" d="M{x:.1} {floor}v4"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="{anchor}">{text}</text>"#,
                floor + 14.0,
            ));
        }
        self.push(format_args!(
            r#"<path class="floor" d="M{LEFT} {floor}H{right}"/><text class="name" x="{right}" y="{:.1}" text-anchor="end">{x_title}</text><text class="name" x="2" y="10">{y_title}</text>"#,
            self.height - 4.0,
        ));
    }

    /// A bar between two values on each axis.
    pub(super) fn bar(
        &mut self,
        class: &str,
        (left, right): (f64, f64),
        (low, high): (f64, f64),
        tooltip: &str,
    ) {
        let (left, right) = (self.at_x(left), self.at_x(right));
        let (top, floor) = (self.at_y(high), self.at_y(low));
        // Even one row among millions must be visible.
        let height = (floor - top).max(0.8);
        self.push(format_args!(
            r#"<rect class="{class}" x="{left:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"><title>{tooltip}</title></rect>"#,
            floor - height,
            (right - left).max(0.5),
        ));
    }

    /// A small text that stays inside the chart.
    pub(super) fn note(&mut self, x: f64, y: f64, text: &str) {
        let (x, anchor) = if x > WIDTH - 60.0 {
            (x - 3.0, "end")
        } else {
            (x + 3.0, "start")
        };
        self.push(format_args!(
            r#"<text class="tick note" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Appends to a string, which cannot fail.
pub(super) fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).unwrap_or_default();
}

/// The path of a line through points in the chart's coordinates.
pub(super) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.into_iter().enumerate() {
        push(
            &mut path,
            format_args!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' }),
        );
    }
    path
}

/// A count as a length on the screen.
#[expect(clippy::cast_precision_loss, reason = "a length on the screen")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
