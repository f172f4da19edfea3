//! Labelled rows: the bundled ones, a CSV file, or CSV on standard input.
//!
//! Promises: columns are found by their names in the header; a cell that is no finite number is an error that names file,
//! line and column; a file that is read in order is never in memory as a whole. A feature may be missing (an empty cell, or
//! `NaN`) if the model accepts that, and the true answer may be a label in text if the labels are known. Deliberately
//! absent: guessing of types, any other format.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

mod source;
mod table;

pub use source::{Dataset, Source};
pub use table::{ColumnKind, Table};

/// Where rows come from and in which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `diabetes` (bundled), the path of a CSV file with a header row, or `-` for CSV on standard input.
    pub source: String,
    /// The column that holds the true answer.
    pub target: String,
    /// The feature columns in the model's order. If empty: the model's own feature names if it has any, else all columns
    /// but the target, in the file's order.
    pub columns: Vec<String>,
    /// `random` draws rows with replacement; `sequential` reads them in order and starts again at the end. Standard input
    /// is always read in order, and once.
    pub order: Order,
    /// Seed of the random order; without one, each run has a different order.
    pub seed: Option<u64>,
    /// How many values a random order may keep in memory; eight bytes each.
    pub values_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            source: BUNDLED.to_owned(),
            target: "target".to_owned(),
            columns: Vec::new(),
            order: Order::Random,
            seed: None,
            values_max: 1 << 26,
        }
    }
}

/// The name of the rows in the binary: scikit-learn's diabetes data, 442 rows of 10 features.
pub const BUNDLED: &str = "diabetes";

/// The order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// With replacement, seeded.
    #[default]
    Random,
    /// As they are in the file, over and over.
    Sequential,
}

/// One row: features in the chosen column order, and the true answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `k` finite values, or NaN for a missing one.
    pub features: Vec<f64>,
    /// The true answer, finite; of labels in text their index.
    pub target: f64,
}

/// What can be wrong with rows. `name` is the file as the user named it, `-` for standard input.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be opened.
    #[error("cannot open `{}`; `--source` takes a CSV file, `-` or `{BUNDLED}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Not CSV, or rows of unequal length.
    #[error("`{name}` is not CSV with a header row and equally long rows")]
    Csv {
        /// The file.
        name: String,
        /// The cause, with its line.
        #[source]
        source: csv::Error,
    },
    /// The first line has numbers.
    #[error("`{name}` starts with numbers, expected a header row with the names of the columns")]
    NoHeader {
        /// The file.
        name: String,
    },
    /// A named column does not exist.
    #[error(
        "`{name}` has no column `{column}`; its columns are {}; {remedy}",
        quoted(header)
    )]
    MissingColumn {
        /// The file.
        name: String,
        /// The column looked for.
        column: String,
        /// The columns that there are.
        header: Vec<String>,
        /// What to do.
        remedy: &'static str,
    },
    /// A cell is no finite number.
    #[error(
        "`{name}` line {line}, column `{column}`: {value:?} is not a finite number; correct or remove that row"
    )]
    Cell {
        /// The file.
        name: String,
        /// The line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// The true answer is not one of the known labels.
    #[error(
        "`{name}` line {line}, column `{column}`: {value:?} is no known label; known are {known}; correct or remove that row, or \
         use the model that knows it"
    )]
    UnknownLabel {
        /// The file.
        name: String,
        /// The line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The cell's text.
        value: String,
        /// The labels.
        known: String,
    },
    /// A feature is missing.
    #[error(
        "`{name}` line {line}, column `{column}`: the value is missing, and the model has no answer without it; correct or \
         remove that row, or fit the model with a SimpleImputer in front"
    )]
    Missing {
        /// The file.
        name: String,
        /// The line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
    },
    /// Text instead of a number, and the labels are not known.
    #[error(
        "`{name}` line {line}, column `{column}`: {value:?} is not a finite number; for labels in text name them all, in the \
         model's order, by the setting `labels`"
    )]
    Text {
        /// The file.
        name: String,
        /// The line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// No rows below the header.
    #[error("`{name}` has no rows below its header")]
    Empty {
        /// The file.
        name: String,
    },
    /// Too many values for a random order in memory.
    #[error(
        "`{name}` has more than {values_max} values, too many to draw from at random; use `--order sequential` or raise `dataset.values_max`"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// The bound.
        values_max: usize,
    },
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
