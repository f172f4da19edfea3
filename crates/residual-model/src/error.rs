//! What can go wrong with a model, in words that name the place and the remedy.

use std::error::Error;
use std::io;

/// A cause whose type may change with the implementation.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a model cannot be read, converted or used.
///
/// Display is one lowercase fragment without its cause; [`Self::with_causes`] gives the whole message. The file is named in the
/// outermost [`ModelError::File`], and the reason is its `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The outermost layer: which file the reason in `source()` belongs to.
    #[error("cannot use {file} as a model")]
    File {
        /// The file, as it was named by the caller.
        file: String,
        /// The reason.
        source: Box<ModelError>,
    },
    /// The file cannot be read at all.
    #[error("cannot read it")]
    Read {
        /// What the operating system says.
        #[from]
        source: io::Error,
    },
    /// The bytes are something else that is well known.
    #[error(
        "{found}; expected a pickle or joblib file of a scikit-learn model, or a file written by `residual convert`"
    )]
    NotAModel {
        /// What the bytes are.
        found: String,
    },
    /// The file is compressed, and its compressed data is damaged.
    #[error("the compressed data is damaged")]
    Compressed {
        /// What the decompressor says.
        source: io::Error,
    },
    /// The bytes break the pickle format, or use a part of it that is refused.
    #[error("broken pickle at byte {offset}")]
    Pickle {
        /// Byte offset in the decompressed stream, just behind what is wrong.
        offset: usize,
        /// What is wrong there.
        source: Cause,
    },
    /// The pickle names code that no model needs.
    #[error(
        "it names `{global}`, which no scikit-learn model needs; nothing was executed. \
         Do not load this file in Python either unless you know who wrote it"
    )]
    Forbidden {
        /// `module.name`.
        global: String,
    },
    /// The pickle names another library, or code of the script that wrote it.
    #[error("it needs `{global}`: {reason}")]
    Foreign {
        /// `module.name`.
        global: String,
        /// Why it cannot be read, and what to do.
        reason: &'static str,
    },
    /// A class of scikit-learn, or a variant of one, that is not read.
    #[error("{class} at {path} is not supported: {reason}. Supported: {supported}")]
    Unsupported {
        /// The class, with its module.
        class: String,
        /// Where it is inside the pickle, such as `steps[1]`.
        path: String,
        /// Why not, or what to use instead.
        reason: String,
        /// Every supported class, separated by commas.
        supported: String,
    },
    /// A supported class whose attributes are missing or are not what that class has.
    #[error("{class} at {path}")]
    Attribute {
        /// The class.
        class: String,
        /// Where it is inside the pickle.
        path: String,
        /// What is missing or wrong, and the remedy.
        source: Cause,
    },
    /// Reading on would take more memory or time than a model of this size needs.
    #[error("it needs more than {max} {what}, which no honest model of this size does")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The converted file was written by a later version.
    #[error(
        "it has format {found}, this program knows up to {known}: upgrade residual, or convert the pickle again with this one"
    )]
    Newer {
        /// The format number in the file.
        found: u32,
        /// The newest format number known here.
        known: u32,
    },
    /// A safetensors file that is not one of ours, or damaged.
    #[error("{problem}; write it again with `residual convert`")]
    Store {
        /// What is wrong.
        problem: String,
        /// What the library that reads the format says, where one does.
        source: Option<Cause>,
    },
    /// A header does not have the columns that the model was fitted on.
    #[error(
        "the columns do not fit the model: it wants [{}] but the input has [{}]; missing: [{}]",
        wanted.join(", "), found.join(", "), missing.join(", ")
    )]
    Columns {
        /// The model's feature names, in order.
        wanted: Vec<String>,
        /// The header.
        found: Vec<String>,
        /// Names that are wanted and not found.
        missing: Vec<String>,
    },
    /// Rows have another number of values than the model has features.
    #[error("the model wants {wanted} features a row, these rows have {found}")]
    Width {
        /// Number of features that the model was fitted on.
        wanted: usize,
        /// Number of values in the row.
        found: usize,
    },
    /// One value of one row that the model has no answer for, such as NaN.
    #[error("row {row}, feature {feature}: {problem}")]
    Value {
        /// Index of the row in the batch, from 0.
        row: usize,
        /// Index of the column, from 0.
        feature: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The tensor library refused an operation.
    #[error("tensor arithmetic failed")]
    Tensor {
        /// What the library says.
        source: Cause,
    },
}

impl From<candle_core::Error> for ModelError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor {
            source: Box::new(error),
        }
    }
}

impl ModelError {
    /// Adds the name of the file, unless there is one already.
    #[must_use]
    pub(crate) fn with_file(self, file: &str) -> Self {
        match self {
            Self::File { .. } => self,
            other => Self::File {
                file: file.to_owned(),
                source: Box::new(other),
            },
        }
    }

    /// Turns the row of an error in a part of a batch, which begins at row `start`, into the row of the whole batch.
    pub(crate) fn with_row_offset(self, start: usize) -> Self {
        match self {
            Self::Value {
                row,
                feature,
                problem,
            } => Self::Value {
                row: start + row,
                feature,
                problem,
            },
            other => other,
        }
    }

    /// A form, or a converted file, that does not hold what it should.
    pub(crate) fn store(problem: impl Into<String>) -> Self {
        Self::Store {
            problem: problem.into(),
            source: None,
        }
    }

    /// The same, with what a library says of it.
    pub(crate) fn store_because(
        problem: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Store {
            problem: problem.into(),
            source: Some(Box::new(source)),
        }
    }

    /// This error and all its causes in one line, separated by colons.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            line.push_str(": ");
            line.push_str(&error.to_string());
            next = error.source();
        }
        line
    }
}
