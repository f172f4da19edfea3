//! What a figure is drawn with: rectangles, lines and text in pixels, on any plotters backend.
//!
//! plotters was made for whole pixels. Three constants adapt it to exact places; both backends use the same ones, so that
//! the SVG and the PNG of a snapshot show the same.

use std::error::Error;

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    element::{PathElement, Rectangle},
    prelude::DrawingBackend,
    style::{FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor, ShapeStyle, TextStyle},
};
use plotters_backend::text_anchor::{HPos, Pos, VPos};

use super::{
    ChartError, Color,
    font::{FAMILY, Typeface},
};

/// plotters' coordinates are whole numbers, so for it the picture is so many times as large in each direction: a
/// coordinate is then exact to a sixteenth of a pixel. The SVG scales back by its `viewBox`, the raster by dividing.
pub(super) const UNITS_PER_PIXEL: f64 = 16.0;

/// plotters' SVG backend divides the font size by this before it writes it, an estimate of how the sizes of its bitmap
/// backend and of browsers differ. Our sizes are exact already, so they are multiplied first.
pub(super) const SVG_FONT_SCALE: f64 = 1.24;

/// plotters positions text by its top, and its SVG backend puts the baseline this many ems below it (`dy="0.76em"`). We
/// position text by its baseline, so this is subtracted; the raster adds it again.
pub(super) const BASELINE_EMS: f64 = 0.76;

pub(super) const BLACK: Color = Color(0, 0, 0);

/// A plotters backend whose errors can be kept as a cause.
pub(super) trait Backend: DrawingBackend<ErrorType: 'static> {}

impl<B: DrawingBackend<ErrorType: 'static>> Backend for B {}

/// Draws on a backend of type `B`.
pub(super) struct Canvas<'a, B: Backend> {
    area: DrawingArea<B, Shift>,
    typeface: &'a Typeface,
    dpi: f64,
}

/// How text is aligned to its point, which is on the baseline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Left,
    Centre,
    Right,
    /// Centred and read upwards.
    Upwards,
}

impl<'a, B: Backend> Canvas<'a, B> {
    pub(super) fn new(area: DrawingArea<B, Shift>, typeface: &'a Typeface, dpi: u32) -> Self {
        Self {
            area,
            typeface,
            dpi: f64::from(dpi),
        }
    }

    /// Typographic points in pixels.
    pub(super) fn points(&self, points: f64) -> f64 {
        points * self.dpi / 72.0
    }

    /// The width of `text` in pixels.
    pub(super) fn text_width(&self, text: &str, size_points: f64) -> f64 {
        self.typeface.width(text, self.points(size_points))
    }

    pub(super) fn rectangle(
        &self,
        from: (f64, f64),
        to: (f64, f64),
        color: Color,
        alpha: f64,
    ) -> Result<(), ChartError> {
        let style = shape(color, alpha, 1.0).filled();
        self.area
            .draw(&Rectangle::new([units(from), units(to)], style))
            .map_err(failed)
    }

    /// A line `width` pixels wide.
    pub(super) fn line(
        &self,
        points: &[(f64, f64)],
        width: f64,
        color: Color,
    ) -> Result<(), ChartError> {
        // A line thinner than a unit is drawn paler instead.
        let alpha = (width * UNITS_PER_PIXEL).min(1.0);
        let path: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        self.area
            .draw(&PathElement::new(path, shape(color, alpha, width)))
            .map_err(failed)
    }

    /// The outline of a rectangle.
    pub(super) fn outline(
        &self,
        (x0, y0): (f64, f64),
        (x1, y1): (f64, f64),
        width: f64,
        color: Color,
    ) -> Result<(), ChartError> {
        self.line(
            &[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)],
            width,
            color,
        )
    }

    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size_points: f64,
        anchor: Anchor,
    ) -> Result<(), ChartError> {
        let em = self.points(size_points);
        let (h_pos, transform, top) = match anchor {
            Anchor::Left => (
                HPos::Left,
                FontTransform::None,
                (at.0, at.1 - BASELINE_EMS * em),
            ),
            Anchor::Centre => (
                HPos::Center,
                FontTransform::None,
                (at.0, at.1 - BASELINE_EMS * em),
            ),
            Anchor::Right => (
                HPos::Right,
                FontTransform::None,
                (at.0, at.1 - BASELINE_EMS * em),
            ),
            Anchor::Upwards => (
                HPos::Center,
                FontTransform::Rotate270,
                (at.0 - BASELINE_EMS * em, at.1),
            ),
        };
        let size = em * SVG_FONT_SCALE * UNITS_PER_PIXEL;
        let font = FontDesc::new(FontFamily::Name(FAMILY), size, FontStyle::Normal);
        let style = TextStyle::from(font.transform(transform)).pos(Pos::new(h_pos, VPos::Top));
        self.area
            .draw_text(text, &style, units(top))
            .map_err(failed)
    }

    /// Ends the drawing.
    pub(super) fn present(&self) -> Result<(), ChartError> {
        self.area.present().map_err(failed)
    }
}

fn shape(Color(red, green, blue): Color, alpha: f64, width: f64) -> ShapeStyle {
    let stroke_width = u32::try_from(unit(width)).unwrap_or(0).max(1);
    ShapeStyle {
        color: RGBAColor(red, green, blue, alpha),
        filled: false,
        stroke_width,
    }
}

fn units((x, y): (f64, f64)) -> (i32, i32) {
    (unit(x), unit(y))
}

/// The cast saturates far outside of any picture.
#[expect(clippy::cast_possible_truncation, reason = "a coordinate of a picture")]
fn unit(pixels: f64) -> i32 {
    (pixels * UNITS_PER_PIXEL).round() as i32
}

fn failed<E: Error + Send + Sync + 'static>(error: DrawingAreaErrorKind<E>) -> ChartError {
    ChartError::Draw(Box::new(error))
}
