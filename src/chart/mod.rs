//! The picture: a histogram with its density curve, or right and wrong by class, as PNG or SVG bytes.
//!
//! Promise: a pure function. The same snapshot and settings give the same bytes; no file, font or setting of the system is
//! read; and the cost depends on the size of the picture, not on the number of rows. Without rows, or with one, the picture
//! says so. Deliberately absent: files, interaction, and computing statistics (that is `stats`).
//!
//! What a picture costs from a cold start (`residual plot --once`), compared with pandas and seaborn: seconds of CPU and peak
//! MiB, on two cores of a busy machine (`scripts/plot_cost.py` measures it again):
//!
//! | rows | residual | | seaborn | |
//! |---|---|---|---|---|
//! | 10^6 | 0.25 s | 25 MiB | 5.2 s | 392 MiB |
//! | 10^8 | 29 s | 20 MiB | | |
//!
//! Two threads parse the log, so of these 0.25 s the longer thread takes 0.15 s. Beyond [`crate::stats::VALUES_MAX`] rows,
//! single errors are no longer kept: the counts stay exact, and no row is drawn further than
//! [`crate::stats::Grid::RELATIVE_CELL`] of the range from its place, a fraction of a pixel.
//!
//! The picture looks like one of matplotlib, because it is meant to stand beside such pictures: same margins, same ticks,
//! same font.
//!
//! plotters gives one set of drawing calls for two outputs: its own SVG backend, and ours for pixels (`raster`). Its charts,
//! its own bitmap backend and its system fonts are not used.

mod axes;
mod axis;
mod canvas;
mod classes;
mod color;
mod config;
mod figure;
mod font;
mod raster;

pub use color::Color;
pub use config::{AREA_MAX, Config, Counts, Mark, SIDE_MAX, SIDE_MIN};
pub use figure::render;

/// The format of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 8 bit RGB, with the resolution in its metadata.
    Png,
    /// As large as the PNG; text stays text.
    Svg,
}

impl Format {
    /// By a file's extension, in any case.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The picture would be too small or too large.
    #[error(
        "a picture of {width}x{height} px is out of bounds: each side from {SIDE_MIN} to {SIDE_MAX}, at most {AREA_MAX} in all"
    )]
    Size {
        /// Asked for.
        width: u32,
        /// Asked for.
        height: u32,
    },
    /// The resolution is out of bounds.
    #[error("a resolution of {0} dpi is out of bounds: 30 to 1200")]
    Dpi(u32),
    /// The snapshot was taken for another view than that of the settings.
    #[error(
        "the snapshot has no `{0}` although it has rows: take it with the view of the settings"
    )]
    MissingShape(&'static str),
    /// The embedded font cannot be read.
    #[error("the embedded font cannot be read")]
    Font(#[from] ab_glyph::InvalidFont),
    /// Drawing failed.
    #[error("cannot draw")]
    Draw(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The PNG encoder failed.
    #[error("cannot encode the picture as PNG")]
    Encode(#[from] png::EncodingError),
}
