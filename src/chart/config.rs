//! What the picture looks like.

use serde::{Deserialize, Serialize};

use super::{ChartError, Color};
use crate::stats::ErrorView;

/// The shortest side in pixels.
pub const SIDE_MIN: u32 = 100;
/// The longest side in pixels.
pub const SIDE_MAX: u32 = 10_000;
/// The most pixels; 3 bytes each.
pub const AREA_MAX: u32 = 32_000_000;

/// What the picture looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels per inch: letters are 10 points high, so twice the size at twice the dpi is the same picture, finer.
    pub dpi: u32,
    /// Colour of bars (half transparent) and curve: a name or `#rrggbb`.
    pub color: Color,
    /// Scale of the counts.
    pub counts: Counts,
    /// Which error is shown.
    pub view: ErrorView,
    /// Whether the density is drawn.
    pub curve: bool,
    /// Vertical lines, explained in a legend.
    pub marks: Vec<Mark>,
    /// Whether a title gives the number of rows and the mean absolute error.
    pub title: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            width: 1000,
            height: 500,
            dpi: 100,
            color: Color(255, 165, 0),
            counts: Counts::Linear,
            view: ErrorView::Absolute,
            curve: true,
            marks: Vec::new(),
            title: false,
        }
    }
}

/// Scale of the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counts {
    /// Heights are counts.
    #[default]
    Linear,
    /// Heights are their logarithms, so that rare large errors show.
    Log,
}

/// A number marked in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The mean.
    Mean,
    /// The median.
    Median,
    /// The 95 % quantile.
    P95,
}

impl Config {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ChartError::Size`] or [`ChartError::Dpi`].
    pub fn validate(&self) -> Result<(), ChartError> {
        let sides = SIDE_MIN..=SIDE_MAX;
        let (width, height) = (self.width, self.height);
        let area = u64::from(width) * u64::from(height);
        if !sides.contains(&width) || !sides.contains(&height) || area > u64::from(AREA_MAX) {
            return Err(ChartError::Size { width, height });
        }
        if !(30..=1200).contains(&self.dpi) {
            return Err(ChartError::Dpi(self.dpi));
        }
        Ok(())
    }
}
