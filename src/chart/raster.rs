//! A plotters backend that draws pixels with exact coverage, so that no edge is jagged.
//!
//! plotters' own bitmap backend rounds everything to whole pixels, even the positions of letters. Here a pixel has
//! [`UNITS_PER_PIXEL`] units in each direction, a rectangle covers exactly its part of a pixel, a line is all points nearer
//! than half its width, and letters are placed exactly. Colours are blended as bytes, as matplotlib's renderer does.

use std::convert::Infallible;

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform, text_anchor::HPos,
};

use super::{
    canvas::{BASELINE_EMS, SVG_FONT_SCALE, UNITS_PER_PIXEL},
    font::Typeface,
};

/// Pixels, 3 bytes each, white at first.
pub(super) struct Raster<'a> {
    pixels: &'a mut [u8],
    width: i32,
    height: i32,
    typeface: &'a Typeface,
    /// Coverage of the line being drawn; zero between lines.
    coverage: Vec<f32>,
}

/// Drawing into memory cannot fail.
type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// A box of whole pixels inside the picture; the upper ends are not included.
#[derive(Clone, Copy)]
struct Span {
    x: (i32, i32),
    y: (i32, i32),
}

impl<'a> Raster<'a> {
    /// A white picture in `pixels`, which are `3 * width * height` bytes.
    pub(super) fn new(
        pixels: &'a mut [u8],
        (width, height): (i32, i32),
        typeface: &'a Typeface,
    ) -> Self {
        pixels.fill(255);
        let coverage = vec![0.0; pixels.len() / 3];
        Self {
            pixels,
            width,
            height,
            typeface,
            coverage,
        }
    }

    fn blend(&mut self, x: i32, y: i32, color: BackendColor, coverage: f64) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        let at = self.at(x, y) * 3;
        let alpha = (color.alpha * coverage).clamp(0.0, 1.0);
        let (red, green, blue) = color.rgb;
        for (byte, ink) in self.pixels[at..at + 3].iter_mut().zip([red, green, blue]) {
            *byte = mix(*byte, ink, alpha);
        }
    }

    /// The index of a pixel inside.
    #[expect(clippy::cast_sign_loss, reason = "the caller checks the bounds")]
    fn at(&self, x: i32, y: i32) -> usize {
        (y * self.width + x) as usize
    }

    fn span(&self, x: (f64, f64), y: (f64, f64)) -> Span {
        let inside = |(low, high): (f64, f64), end: i32| {
            (floor(low).clamp(0, end), floor(high.ceil()).clamp(0, end))
        };
        Span {
            x: inside(x, self.width),
            y: inside(y, self.height),
        }
    }

    /// Fills a rectangle; pixels at its edges in proportion to their coverage.
    fn fill(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), color: BackendColor) {
        let span = self.span((x0, x1), (y0, y1));
        let table = BlendTable::new(color);
        for y in span.y.0..span.y.1 {
            let high = overlap(y, y0, y1);
            for x in span.x.0..span.x.1 {
                let covered = high * overlap(x, x0, x1);
                if covered < 1.0 {
                    self.blend(x, y, color, covered);
                } else {
                    let at = self.at(x, y) * 3;
                    table.apply(&mut self.pixels[at..at + 3]);
                }
            }
        }
    }

    /// Raises the coverage of pixels near a segment of a line. Where segments meet, the larger coverage counts, not the sum.
    /// A segment along an axis is a rectangle, longer by `beyond` at both ends; any other has round ends.
    fn cover(&mut self, from: (f64, f64), to: (f64, f64), width: f64, beyond: f64) -> Span {
        let reach = width / 2.0 + 0.5;
        let (x0, x1) = (from.0.min(to.0), from.0.max(to.0));
        let (y0, y1) = (from.1.min(to.1), from.1.max(to.1));
        let span = self.span((x0 - reach, x1 + reach), (y0 - reach, y1 + reach));
        let half = width / 2.0;
        let (wide, high) = if y0 < y1 {
            (half, beyond)
        } else {
            (beyond, half)
        };
        let straight = x0 >= x1 || y0 >= y1;
        for y in span.y.0..span.y.1 {
            let part = overlap(y, y0 - high, y1 + high);
            for x in span.x.0..span.x.1 {
                let covered = if straight {
                    part * overlap(x, x0 - wide, x1 + wide)
                } else {
                    let centre = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                    (reach - distance(centre, from, to)).clamp(0.0, width.min(1.0))
                };
                let at = self.at(x, y);
                self.coverage[at] = self.coverage[at].max(single(covered));
            }
        }
        span
    }

    /// Blends the colour where [`Self::cover`] has raised the coverage in `span`, and clears it again.
    fn blend_covered(&mut self, span: Span, color: BackendColor) {
        for y in span.y.0..span.y.1 {
            for x in span.x.0..span.x.1 {
                let at = self.at(x, y);
                let covered = std::mem::take(&mut self.coverage[at]);
                if covered > 0.0 {
                    self.blend(x, y, color, f64::from(covered));
                }
            }
        }
    }

    fn stroke(&mut self, points: &[(f64, f64)], width: f64, color: BackendColor) {
        // The segments of a closed line overlap at its corners, which makes the corners square.
        let beyond = if points.first() == points.last() {
            width / 2.0
        } else {
            0.0
        };
        let spans: Vec<Span> = points
            .windows(2)
            .map(|pair| self.cover(pair[0], pair[1], width, beyond))
            .collect();
        for span in spans {
            self.blend_covered(span, color);
        }
    }
}

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let sub = |pixels: i32| pixels.unsigned_abs() * floor(UNITS_PER_PIXEL).unsigned_abs();
        (sub(self.width), sub(self.height))
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let ((x0, y0), (x1, y1)) = (upper_left, bottom_right);
        if !fill {
            return self.draw_path([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], style);
        }
        self.fill(pixels(upper_left), pixels(bottom_right), style.color());
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<(f64, f64)> = path.into_iter().map(pixels).collect();
        self.stroke(
            &points,
            f64::from(style.stroke_width()) / UNITS_PER_PIXEL,
            style.color(),
        );
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        position: BackendCoord,
    ) -> Drawn {
        let typeface = self.typeface;
        let (color, em) = (
            style.color(),
            style.size() / SVG_FONT_SCALE / UNITS_PER_PIXEL,
        );
        let width = typeface.width(text, em);
        let start = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        let (x, y) = pixels(position);
        if matches!(style.transform(), FontTransform::Rotate270) {
            // Right becomes up and down becomes right.
            let (baseline, along) = (floor((x + BASELINE_EMS * em).round()), -y + start);
            typeface.draw(text, em, along - along.floor(), |right, down, coverage| {
                let up = floor(along) + right;
                self.blend(baseline + down, -up - 1, color, f64::from(coverage));
            });
        } else {
            let (baseline, along) = (floor((y + BASELINE_EMS * em).round()), x + start);
            typeface.draw(text, em, along - along.floor(), |right, down, coverage| {
                let x = floor(along) + right;
                self.blend(x, baseline + down, color, f64::from(coverage));
            });
        }
        Ok(())
    }
}

/// The results of blending one colour at full coverage, for every byte that can be below it.
struct BlendTable([[u8; 256]; 3]);

impl BlendTable {
    fn new(color: BackendColor) -> Self {
        let (red, green, blue) = color.rgb;
        let alpha = color.alpha.clamp(0.0, 1.0);
        Self([red, green, blue].map(|ink| {
            let mut mixed = [0; 256];
            for (paper, byte) in (0..=u8::MAX).zip(&mut mixed) {
                *byte = mix(paper, ink, alpha);
            }
            mixed
        }))
    }

    fn apply(&self, pixel: &mut [u8]) {
        for (byte, mixed) in pixel.iter_mut().zip(&self.0) {
            *byte = mixed[usize::from(*byte)];
        }
    }
}

fn pixels((x, y): BackendCoord) -> (f64, f64) {
    (
        f64::from(x) / UNITS_PER_PIXEL,
        f64::from(y) / UNITS_PER_PIXEL,
    )
}

/// How much of the pixel `at` lies between `low` and `high`.
fn overlap(at: i32, low: f64, high: f64) -> f64 {
    let at = f64::from(at);
    (high.min(at + 1.0) - low.max(at)).clamp(0.0, 1.0)
}

/// The distance of a point from a segment of a line.
fn distance((x, y): (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (along_x, along_y) = (to.0 - from.0, to.1 - from.1);
    let length = along_x * along_x + along_y * along_y;
    let way = ((x - from.0) * along_x + (y - from.1) * along_y) / length;
    let way = if length > 0.0 {
        way.clamp(0.0, 1.0)
    } else {
        0.0
    };
    (x - from.0 - way * along_x).hypot(y - from.1 - way * along_y)
}

#[expect(clippy::cast_possible_truncation, reason = "a coordinate of a picture")]
fn floor(x: f64) -> i32 {
    x.floor() as i32
}

#[expect(clippy::cast_possible_truncation, reason = "coverage needs few digits")]
fn single(x: f64) -> f32 {
    x as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two bytes"
)]
fn mix(paper: u8, ink: u8, alpha: f64) -> u8 {
    let (paper, ink) = (f64::from(paper), f64::from(ink));
    (paper + (ink - paper) * alpha).round() as u8
}
