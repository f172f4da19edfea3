//! Flags of the picture: which rows are in it and how it looks.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};

use crate::{clock::Period, config::Overrides};

/// Which rows are in the picture and how it looks; every flag is a setting of `[plot]` or `[chart]`.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Picture")]
pub struct PictureArgs {
    /// File of the picture, .png or .svg [default: `error_distribution.png` in the logs folder]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show only the last N rows; 0 for all [default: 0]
    #[arg(long, value_name = "N")]
    pub last_rows: Option<usize>,
    /// Show only the rows of the last DURATION, such as 1h; 0s for all [default: 0s]
    #[arg(long, value_name = "DURATION")]
    pub last: Option<Period>,
    /// The error to show [default: absolute]
    #[arg(long, value_name = "ERROR")]
    pub view: Option<ErrorView>,
    /// Scale of the counts [default: linear]
    #[arg(long, value_name = "SCALE")]
    pub counts: Option<CountScale>,
    /// Vertical lines with a legend, separated by commas
    #[arg(long, value_name = "MARKS", value_delimiter = ',')]
    pub marks: Option<Vec<MarkName>>,
    /// Add a title with the number of rows and the MAE
    #[arg(long)]
    pub title: bool,
    /// Draw no density curve, only bars
    #[arg(long)]
    pub no_curve: bool,
    /// Width and height in pixels [default: 1000x500]
    #[arg(long, value_name = "WxH")]
    pub size: Option<Size>,
    /// Pixels per inch; letters are 10 points high [default: 100]
    #[arg(long, value_name = "N")]
    pub dpi: Option<u32>,
    /// Colour of bars and curve: a name or #rrggbb [default: orange]
    #[arg(long, value_name = "COLOR")]
    pub color: Option<String>,
}

/// Which error is shown.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorView {
    /// Without its sign
    Absolute,
    /// Prediction minus truth
    Signed,
    /// Both, side by side
    Both,
}

/// Scale of the counts.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CountScale {
    /// Heights are counts
    Linear,
    /// Heights are logarithms, so that rare large errors show
    Log,
}

/// A number that is marked.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkName {
    /// Mean
    Mean,
    /// Median
    Median,
    /// 95 % quantile
    P95,
}

/// Width and height in pixels, written `1000x500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// A size that is not written `WIDTHxHEIGHT`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size; write for instance `1000x500`")]
pub struct SizeError(String);

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let sides = text
            .split_once(['x', 'X'])
            .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let (width, height) = sides.ok_or_else(|| SizeError(text.to_owned()))?;
        Ok(Self { width, height })
    }
}

impl PictureArgs {
    /// The settings that these flags name.
    pub fn override_in(&self, overrides: &mut Overrides) {
        overrides.set("plot.output", "--output", self.output.as_ref());
        overrides.set("plot.last_rows", "--last-rows", self.last_rows);
        overrides.set("plot.last", "--last", self.last);
        overrides.set("chart.view", "--view", self.view);
        overrides.set("chart.counts", "--counts", self.counts);
        overrides.set("chart.marks", "--marks", self.marks.as_ref());
        overrides.set("chart.title", "--title", self.title.then_some(true));
        overrides.set("chart.curve", "--no-curve", self.no_curve.then_some(false));
        overrides.set("chart.width", "--size", self.size.map(|size| size.width));
        overrides.set("chart.height", "--size", self.size.map(|size| size.height));
        overrides.set("chart.dpi", "--dpi", self.dpi);
        overrides.set("chart.color", "--color", self.color.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_with_an_x_between_them() {
        let size = "640x480".parse::<Size>();
        assert_eq!(
            size,
            Ok(Size {
                width: 640,
                height: 480
            })
        );
        for bad in ["", "640", "640x", "x480", "-1x4", "1x2x3", "99999999999x1"] {
            let error = bad.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains("1000x500"), "{error}");
        }
    }
}
