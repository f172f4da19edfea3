//! The embedded font, `DejaVu` Sans: widths and anti-aliased letters. Fonts of the system are not used.

use ab_glyph::{Font as _, FontRef, OutlinedGlyph, PxScale, ScaleFont as _, point};

/// The fonts that an SVG names: the same one, or others of similar width.
pub(super) const FAMILY: &str = "DejaVu Sans, Bitstream Vera Sans, Verdana, Geneva, sans-serif";

/// The embedded font.
pub(super) struct Typeface(FontRef<'static>);

impl Typeface {
    pub(super) fn load() -> Result<Self, ab_glyph::InvalidFont> {
        FontRef::try_from_slice(dejavu::sans::regular()).map(Self)
    }

    /// The width of `text` at `em` pixels.
    pub(super) fn width(&self, text: &str, em: f64) -> f64 {
        self.lay_out(text, em).1
    }

    /// Calls `pixel` with the coverage of each pixel, relative to the start of the baseline; `start` is the fraction of
    /// a pixel by which the text begins further right.
    pub(super) fn draw(
        &self,
        text: &str,
        em: f64,
        start: f64,
        mut pixel: impl FnMut(i32, i32, f32),
    ) {
        let (glyphs, _) = self.lay_out(text, em);
        for (glyph, x) in glyphs {
            let glyph =
                glyph.with_scale_and_position(self.scale(em), point(single(x + start), 0.0));
            if let Some(outline) = self.0.outline_glyph(glyph) {
                let corner = corner(&outline);
                outline.draw(|x, y, coverage| {
                    pixel(
                        corner.0 + signed(x),
                        corner.1 + signed(y),
                        coverage.min(1.0),
                    );
                });
            }
        }
    }

    /// Glyphs with their positions, and the width of the whole text.
    fn lay_out(&self, text: &str, em: f64) -> (Vec<(ab_glyph::GlyphId, f64)>, f64) {
        let font = self.0.as_scaled(self.scale(em));
        let mut glyphs: Vec<(ab_glyph::GlyphId, f64)> = Vec::with_capacity(text.len());
        let mut x = 0.0;
        for glyph in text.chars().map(|c| font.glyph_id(c)) {
            if let Some(&(before, _)) = glyphs.last() {
                x += f64::from(font.kern(before, glyph));
            }
            glyphs.push((glyph, x));
            x += f64::from(font.h_advance(glyph));
        }
        (glyphs, x)
    }

    /// `ab_glyph` scales by the line height, while we give the size of an em.
    fn scale(&self, em: f64) -> PxScale {
        let units = f64::from(self.0.units_per_em().unwrap_or(2048.0));
        PxScale::from(single(em * f64::from(self.0.height_unscaled()) / units))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole pixels of a picture")]
fn corner(outline: &OutlinedGlyph) -> (i32, i32) {
    let bounds = outline.px_bounds();
    (bounds.min.x.floor() as i32, bounds.min.y.floor() as i32)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a pixel position needs no more digits"
)]
fn single(x: f64) -> f32 {
    x as f32
}

#[expect(clippy::cast_possible_wrap, reason = "pixels of one glyph")]
fn signed(x: u32) -> i32 {
    x as i32
}
