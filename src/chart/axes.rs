//! One pair of axes with bars, curve and marks.

use super::{
    ChartError, Color, Config, Counts, Mark,
    axis::{Ticks, significant},
    canvas::{Anchor, BLACK, Backend, Canvas},
};
use crate::stats::{ErrorKind, Histogram, Shape};

pub(super) const WHITE: Color = Color(255, 255, 255);
pub(super) const LABEL_SIZE: f64 = 10.0;
/// The height of digits in ems.
const DIGIT_HEIGHT: f64 = 0.729;
/// The margin on both sides of the data, as a part of its range.
const MARGIN: f64 = 0.05;
/// Where a logarithmic axis of counts begins: below 1, so that a bar of a single row has a height.
const LOG_FLOOR: f64 = 0.7;

/// The box of the axes in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// matplotlib's margins and its space between axes.
    pub(super) fn side_by_side((width, height): (f64, f64), n: usize) -> Vec<Self> {
        let n = f64::from(u8::try_from(n).unwrap_or(1).max(1));
        let each = 0.775 * width / (n + 0.2 * (n - 1.0));
        std::iter::successors(Some(0.125 * width), |left| Some(left + 1.2 * each))
            .map(|left| Self {
                left,
                top: 0.12 * height,
                right: left + each,
                bottom: 0.89 * height,
            })
            .take(if n > 1.0 { 2 } else { 1 })
            .collect()
    }

    fn width(&self) -> f64 {
        self.right - self.left
    }

    fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

/// One pair of axes.
pub(super) struct Axes<'a> {
    pub(super) frame: Frame,
    pub(super) kind: ErrorKind,
    /// `None` without rows.
    pub(super) shape: Option<&'a Shape>,
    pub(super) n: u64,
    pub(super) config: &'a Config,
}

/// Which part of the plane the axes show.
pub(super) struct Scale {
    frame: Frame,
    x: (f64, f64),
    y: (f64, f64),
    counts: Counts,
}

impl Scale {
    fn new(frame: Frame, shape: &Shape, config: &Config) -> Self {
        let edges = &shape.histogram.edges;
        let (low, high) = (edges[0], edges[edges.len() - 1]);
        let beside = (high - low) * MARGIN;
        let bars = shape.histogram.counts.iter().map(|&count| height(count));
        let curve = shape
            .curve
            .iter()
            .filter(|_| config.curve)
            .flat_map(|curve| &curve.y)
            .copied();
        let top = bars.chain(curve).fold(1.0, f64::max);
        let y = match config.counts {
            Counts::Linear => (0.0, top * (1.0 + MARGIN)),
            Counts::Log => (LOG_FLOOR, top * (top / LOG_FLOOR).powf(MARGIN)),
        };
        Self {
            frame,
            x: (low - beside, high + beside),
            y,
            counts: config.counts,
        }
    }

    /// Counts from zero to `top`.
    pub(super) fn of_counts(frame: Frame, x: (f64, f64), top: f64, counts: Counts) -> Self {
        let y = match counts {
            Counts::Linear => (0.0, top),
            Counts::Log => (LOG_FLOOR, top.max(2.0)),
        };
        Self {
            frame,
            x,
            y,
            counts,
        }
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        self.frame.left + (value - self.x.0) / (self.x.1 - self.x.0) * self.frame.width()
    }

    pub(super) fn y(&self, count: f64) -> f64 {
        let part = match self.counts {
            Counts::Linear => count / self.y.1,
            Counts::Log => (count.max(1e-300) / self.y.0).log10() / (self.y.1 / self.y.0).log10(),
        };
        self.frame.bottom - part * self.frame.height()
    }
}

impl Axes<'_> {
    pub(super) fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<(), ChartError> {
        match self.shape {
            None => self.without_rows(canvas, self.kind.name()),
            Some(shape) => self.draw_shape(canvas, shape),
        }
    }

    pub(super) fn without_rows<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        x_name: &str,
    ) -> Result<(), ChartError> {
        self.labels(canvas, x_name, 0.0)?;
        self.spines(canvas)?;
        self.note(canvas, "no rows yet")
    }

    fn draw_shape<B: Backend>(&self, canvas: &Canvas<B>, shape: &Shape) -> Result<(), ChartError> {
        let scale = Scale::new(self.frame, shape, self.config);
        self.bars(canvas, &scale, shape)?;
        self.curve(canvas, &scale, shape)?;
        self.marks(canvas, &scale, shape)?;
        self.x_axis(canvas, &scale)?;
        let label_width = self.y_axis(canvas, &scale)?;
        self.labels(canvas, self.kind.name(), label_width)?;
        self.spines(canvas)?;
        self.legend(canvas, shape)?;
        let name = self.kind.name();
        match (self.n, &shape.curve) {
            (1, _) => self.note(
                canvas,
                &format!("one row: {name} = {}", significant(shape.mean)),
            ),
            (n, None) => self.note(
                canvas,
                &format!("all {n} rows: {name} = {}", significant(shape.mean)),
            ),
            (_, Some(_)) => Ok(()),
        }
    }

    fn bars<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        scale: &Scale,
        shape: &Shape,
    ) -> Result<(), ChartError> {
        let bars = columns(scale, shape);
        let thinnest = bars
            .iter()
            .map(|bar| bar.1 - bar.0)
            .fold(f64::INFINITY, f64::min);
        // seaborn's rule for the edge: a tenth of the bar, at most a point.
        let edge = canvas.points(1.0).min(0.1 * thinnest);
        let snapped = |x: f64| if thinnest >= 4.0 { snap(x) } else { x };
        let bottom = snap(self.frame.bottom);
        let place = |&(left, right, count): &(f64, f64, u64)| {
            let top = scale.y(height(count)).clamp(self.frame.top, bottom);
            let top = if thinnest >= 4.0 { snap(top) } else { top };
            ((snapped(left), top), (snapped(right), bottom))
        };
        let filled: Vec<_> = bars.iter().filter(|bar| bar.2 > 0).map(place).collect();
        for &(upper_left, lower_right) in &filled {
            canvas.rectangle(upper_left, lower_right, self.config.color, 0.5)?;
        }
        if bars.len() < shape.histogram.counts.len() {
            return Ok(());
        }
        for (upper_left, lower_right) in filled {
            canvas.outline(upper_left, lower_right, edge, BLACK)?;
        }
        Ok(())
    }

    fn curve<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        scale: &Scale,
        shape: &Shape,
    ) -> Result<(), ChartError> {
        let Some(curve) = shape.curve.as_ref().filter(|_| self.config.curve) else {
            return Ok(());
        };
        let points = curve
            .x
            .iter()
            .zip(&curve.y)
            .map(|(&x, &y)| (scale.x(x), scale.y(y)));
        for piece in above(points, self.frame.bottom) {
            canvas.line(&piece, canvas.points(1.5), self.config.color)?;
        }
        Ok(())
    }

    fn marks<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        scale: &Scale,
        shape: &Shape,
    ) -> Result<(), ChartError> {
        for &mark in &self.config.marks {
            let x = scale.x(value(mark, shape));
            dashed(canvas, (x, self.frame.bottom), (x, self.frame.top), mark)?;
        }
        Ok(())
    }

    fn x_axis<B: Backend>(&self, canvas: &Canvas<B>, scale: &Scale) -> Result<(), ChartError> {
        let room = self.frame.width() / (3.0 * canvas.points(LABEL_SIZE));
        let ticks = Ticks::linear(scale.x.0, scale.x.1, whole(room), false);
        let bottom = self.frame.bottom;
        let baseline = bottom + canvas.points(7.5 + LABEL_SIZE * DIGIT_HEIGHT);
        for (&at, label) in ticks.at.iter().zip(&ticks.labels) {
            let x = snap(scale.x(at));
            canvas.line(
                &[(x, bottom), (x, bottom + canvas.points(3.5))],
                canvas.points(0.8),
                BLACK,
            )?;
            canvas.text(label, (x, baseline), LABEL_SIZE, Anchor::Centre)?;
        }
        let under = baseline + canvas.points(1.4 * LABEL_SIZE);
        canvas.text(
            &ticks.offset,
            (self.frame.right, under),
            LABEL_SIZE,
            Anchor::Right,
        )
    }

    /// Draws the axis of counts; returns the width of its widest label.
    pub(super) fn y_axis<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        scale: &Scale,
    ) -> Result<f64, ChartError> {
        let room = whole(self.frame.height() / (2.0 * canvas.points(LABEL_SIZE)));
        let ticks = match scale.counts {
            Counts::Linear => Ticks::linear(scale.y.0, scale.y.1, room, true),
            Counts::Log => Ticks::logarithmic(scale.y.0, scale.y.1, room.clamp(2, 9)),
        };
        let left = self.frame.left;
        let tick = |count: f64, length: f64, width: f64| {
            let y = snap(scale.y(count));
            canvas.line(
                &[(left - canvas.points(length), y), (left, y)],
                canvas.points(width),
                BLACK,
            )
        };
        for (&count, label) in ticks.at.iter().zip(&ticks.labels) {
            tick(count, 3.5, 0.8)?;
            let baseline = scale.y(count) + canvas.points(LABEL_SIZE * DIGIT_HEIGHT / 2.0 + 0.2);
            canvas.text(
                label,
                (left - canvas.points(6.5), baseline),
                LABEL_SIZE,
                Anchor::Right,
            )?;
        }
        for &count in &ticks.minor {
            tick(count, 2.0, 0.6)?;
        }
        let above = self.frame.top - canvas.points(4.0);
        canvas.text(&ticks.offset, (left, above), LABEL_SIZE, Anchor::Left)?;
        let widths = ticks
            .labels
            .iter()
            .map(|label| canvas.text_width(label, LABEL_SIZE));
        Ok(widths.fold(0.0, f64::max))
    }

    pub(super) fn labels<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        x_name: &str,
        tick_width: f64,
    ) -> Result<(), ChartError> {
        let Frame {
            left,
            right,
            top,
            bottom,
        } = self.frame;
        let below = bottom + canvas.points(28.5);
        canvas.text(
            x_name,
            (f64::midpoint(left, right) + 0.5, below),
            LABEL_SIZE,
            Anchor::Centre,
        )?;
        let beside = left - tick_width - canvas.points(13.5);
        canvas.text(
            "Count",
            (beside, f64::midpoint(top, bottom) + 1.0),
            LABEL_SIZE,
            Anchor::Upwards,
        )
    }

    pub(super) fn spines<B: Backend>(&self, canvas: &Canvas<B>) -> Result<(), ChartError> {
        let Frame {
            left,
            right,
            top,
            bottom,
        } = self.frame;
        let (left, right) = (snap(left), snap(right));
        let (top, bottom) = (snap(top), snap(bottom));
        canvas.outline((left, top), (right, bottom), canvas.points(0.8), BLACK)
    }

    /// A box that explains the marks, in the upper corner with less behind it.
    fn legend<B: Backend>(&self, canvas: &Canvas<B>, shape: &Shape) -> Result<(), ChartError> {
        let texts: Vec<String> = self
            .config
            .marks
            .iter()
            .map(|&mark| legend_text(mark, shape))
            .collect();
        if texts.is_empty() {
            return Ok(());
        }
        let widest = texts
            .iter()
            .map(|text| canvas.text_width(text, LABEL_SIZE))
            .fold(0.0, f64::max);
        let (line, sample) = (
            canvas.points(1.5 * LABEL_SIZE),
            canvas.points(2.0 * LABEL_SIZE),
        );
        let inside = canvas.points(0.5 * LABEL_SIZE);
        let height = line * f64::from(u8::try_from(texts.len()).unwrap_or(u8::MAX)) + inside;
        let width = widest + sample + 3.0 * inside;
        let left = snap(if left_is_emptier(&shape.histogram) {
            self.frame.left + inside
        } else {
            self.frame.right - inside - width
        });
        let right = snap(left + width);
        let top = snap(self.frame.top + inside);
        canvas.rectangle((left, top), (right, top + height), WHITE, 0.8)?;
        canvas.outline(
            (left, top),
            (right, snap(top + height)),
            1.0,
            Color(204, 204, 204),
        )?;
        let mut baseline = top + inside + canvas.points(LABEL_SIZE);
        for (&mark, text) in self.config.marks.iter().zip(&texts) {
            let middle = snap(baseline - canvas.points(0.36 * LABEL_SIZE));
            let from = left + inside;
            dashed(canvas, (from, middle), (from + sample, middle), mark)?;
            canvas.text(
                text,
                (from + sample + inside, baseline),
                LABEL_SIZE,
                Anchor::Left,
            )?;
            baseline += line;
        }
        Ok(())
    }

    fn note<B: Backend>(&self, canvas: &Canvas<B>, text: &str) -> Result<(), ChartError> {
        let Frame {
            left,
            right,
            top,
            bottom,
        } = self.frame;
        canvas.text(
            text,
            (f64::midpoint(left, right), f64::midpoint(top, bottom)),
            12.0,
            Anchor::Centre,
        )
    }
}

/// Bars as (left, right, count) in pixels; if bins are narrower than a pixel, the tallest bin of each pixel.
fn columns(scale: &Scale, shape: &Shape) -> Vec<(f64, f64, u64)> {
    let histogram = &shape.histogram;
    let bins = histogram.edges.windows(2).zip(&histogram.counts);
    let bars: Vec<_> = bins
        .map(|(edges, &count)| (scale.x(edges[0]), scale.x(edges[1]), count))
        .collect();
    if bars.iter().all(|bar| bar.1 - bar.0 >= 1.0) {
        return bars;
    }
    let mut columns: Vec<(f64, f64, u64)> = Vec::new();
    for (left, right, count) in bars {
        let pixel = left.floor();
        match columns.last_mut() {
            Some(column) if column.0 >= pixel => {
                column.1 = column.1.max(right.ceil());
                column.2 = column.2.max(count);
            }
            // A column begins where the one before it ends, so that no pixel is painted twice.
            before => {
                let start = before.map_or(pixel, |column| column.1.max(pixel));
                columns.push((start, right.ceil().max(start + 1.0), count));
            }
        }
    }
    columns
}

/// The pieces of a line above `bottom`, cut off where they cross it.
fn above(points: impl Iterator<Item = (f64, f64)>, bottom: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for point in points {
        let was_above = before.is_some_and(|before| before.1 <= bottom);
        let is_above = point.1 <= bottom;
        if is_above && !was_above {
            pieces.push(Vec::new());
        }
        if let (Some(piece), Some(before)) = (pieces.last_mut(), before)
            && is_above != was_above
        {
            let way = (bottom - before.1) / (point.1 - before.1);
            piece.push((before.0 + (point.0 - before.0) * way, bottom));
        }
        if let Some(piece) = pieces.last_mut().filter(|_| is_above) {
            piece.push(point);
        }
        before = Some(point);
    }
    pieces
}

fn left_is_emptier(histogram: &Histogram) -> bool {
    let third = histogram.counts.len().div_ceil(3);
    let left = histogram.counts.iter().take(third).max();
    let right = histogram.counts.iter().rev().take(third).max();
    left < right
}

/// Each mark has a colour and dashes of its own, so that marks can be distinguished without colours too.
fn dashed<B: Backend>(
    canvas: &Canvas<B>,
    from: (f64, f64),
    to: (f64, f64),
    mark: Mark,
) -> Result<(), ChartError> {
    let (color, dash, gap) = match mark {
        Mark::Mean => (Color(214, 39, 40), f64::INFINITY, 0.0),
        Mark::Median => (Color(31, 119, 180), 5.5, 2.4),
        Mark::P95 => (Color(44, 160, 44), 1.5, 2.5),
    };
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let at = |way: f64| {
        let part = way.min(length) / length;
        (
            from.0 + (to.0 - from.0) * part,
            from.1 + (to.1 - from.1) * part,
        )
    };
    let mut way = 0.0;
    while way < length {
        canvas.line(
            &[at(way), at(way + canvas.points(dash))],
            canvas.points(1.5),
            color,
        )?;
        way += canvas.points(dash + gap);
    }
    Ok(())
}

fn value(mark: Mark, shape: &Shape) -> f64 {
    match mark {
        Mark::Mean => shape.mean,
        Mark::Median => shape.median,
        Mark::P95 => shape.p95,
    }
}

fn legend_text(mark: Mark, shape: &Shape) -> String {
    let name = match mark {
        Mark::Mean => "mean",
        Mark::Median => "median",
        Mark::P95 => "95 %",
    };
    format!("{name} {}", significant(value(mark, shape)))
}

/// The middle of the nearest pixel, so that a thin line is sharp.
pub(super) fn snap(x: f64) -> f64 {
    (x + 0.5).floor() + 0.5
}

#[expect(clippy::cast_precision_loss, reason = "a height needs no more digits")]
pub(super) fn height(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, positive"
)]
fn whole(x: f64) -> usize {
    x as usize
}
