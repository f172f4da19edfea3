//! The whole picture: its axes, its title, and the two formats.

use plotters::{drawing::IntoDrawingArea, prelude::SVGBackend};

use super::{
    ChartError, Config, Format,
    axes::{Axes, Frame},
    axis::significant,
    canvas::{Anchor, Backend, Canvas, UNITS_PER_PIXEL},
    classes,
    font::Typeface,
    raster::Raster,
};
use crate::stats::{ErrorKind, Report, Snapshot};

/// Draws `snapshot` as `config` says.
///
/// # Errors
/// Settings out of bounds, or a snapshot taken with another view than the settings'.
pub fn render(snapshot: &Snapshot, config: &Config, format: Format) -> Result<Vec<u8>, ChartError> {
    config.validate()?;
    let has_shapes = snapshot.report.n > 0 && snapshot.classes.is_none();
    let missing = |kind: &&ErrorKind| has_shapes && snapshot.shape(**kind).is_none();
    if let Some(kind) = config.view.kinds().iter().find(missing) {
        return Err(ChartError::MissingShape(kind.name()));
    }
    let typeface = Typeface::load()?;
    match format {
        Format::Png => png(snapshot, config, &typeface),
        Format::Svg => svg(snapshot, config, &typeface),
    }
}

fn png(snapshot: &Snapshot, config: &Config, typeface: &Typeface) -> Result<Vec<u8>, ChartError> {
    let mut pixels = vec![255; 3 * config.width as usize * config.height as usize];
    let size = (signed(config.width), signed(config.height));
    draw(
        Raster::new(&mut pixels, size, typeface),
        snapshot,
        config,
        typeface,
    )?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, config.width, config.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // A tenth of the default's time for a third more bytes: the picture is drawn again every few seconds.
    encoder.set_compression(png::Compression::Fast);
    let per_metre = (f64::from(config.dpi) / 0.0254).round();
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: whole(per_metre),
        yppu: whole(per_metre),
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn svg(snapshot: &Snapshot, config: &Config, typeface: &Typeface) -> Result<Vec<u8>, ChartError> {
    let (width, height) = (config.width, config.height);
    let units = (
        width * whole(UNITS_PER_PIXEL),
        height * whole(UNITS_PER_PIXEL),
    );
    let mut text = String::new();
    draw(
        SVGBackend::with_string(&mut text, units),
        snapshot,
        config,
        typeface,
    )?;
    // plotters writes the size in its units. They stay in the view box; the picture itself is measured in pixels.
    let size = format!("width=\"{}\" height=\"{}\"", units.0, units.1);
    let described = format!("width=\"{width}\" height=\"{height}\" role=\"img\"");
    Ok(text.replacen(&size, &described, 1).into_bytes())
}

/// Draws everything on any backend.
fn draw<B: Backend>(
    backend: B,
    snapshot: &Snapshot,
    config: &Config,
    typeface: &Typeface,
) -> Result<(), ChartError> {
    let canvas = Canvas::new(backend.into_drawing_area(), typeface, config.dpi);
    let size = (f64::from(config.width), f64::from(config.height));
    canvas.rectangle((0.0, 0.0), size, super::Color(255, 255, 255), 1.0)?;
    let kinds = match &snapshot.classes {
        Some(_) => &[ErrorKind::Absolute],
        None => config.view.kinds(),
    };
    let frames = Frame::side_by_side(size, kinds.len());
    for (&kind, &frame) in kinds.iter().zip(&frames) {
        let axes = Axes {
            frame,
            kind,
            shape: snapshot.shape(kind),
            n: snapshot.report.n,
            config,
        };
        match &snapshot.classes {
            Some(labelled) => classes::draw(&axes, &canvas, labelled)?,
            None => axes.draw(&canvas)?,
        }
    }
    if config.title
        && let (Some(first), Some(last)) = (frames.first(), frames.last())
    {
        let at = (
            f64::midpoint(first.left, last.right),
            first.top - canvas.points(6.0),
        );
        canvas.text(&title(snapshot), at, 12.0, Anchor::Centre)?;
    }
    canvas.present()
}

/// Such as `n = 442, MAE = 43.28 (95 %: 40.34 to 46.21)`, or `n = 150, accuracy = 0.9733`.
fn title(snapshot: &Snapshot) -> String {
    match &snapshot.classes {
        None => title_of_numbers(&snapshot.report),
        Some(classes) => match classes.score.accuracy {
            Some(accuracy) => format!("n = {}, accuracy = {accuracy:.4}", classes.score.n),
            None => "n = 0".to_owned(),
        },
    }
}

fn title_of_numbers(report: &Report) -> String {
    let mut title = format!("n = {}", report.n);
    if let Some(mae) = report.mae {
        title = format!("{title}, MAE = {}", significant(mae));
    }
    if let Some(interval) = report.mae_interval {
        // The mean of absolute errors is not negative, whatever the interval of a few rows says.
        let (low, high) = (
            significant(interval.low.max(0.0)),
            significant(interval.high),
        );
        title = format!("{title} (95 %: {low} to {high})");
    }
    title
}

#[expect(clippy::cast_possible_wrap, reason = "at most 10000")]
fn signed(side: u32) -> i32 {
    side as i32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and positive"
)]
fn whole(x: f64) -> u32 {
    x as u32
}
