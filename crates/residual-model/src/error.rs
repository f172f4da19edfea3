//! What can go wrong with a model, in words that name the place and the remedy.

use std::error::Error;
use std::io;

/// A cause whose type may change with the implementation.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a model cannot be read, converted or asked.
///
/// Display is one lowercase fragment; the file stands in the outermost [`ModelError::File`] and the reason in `source()`.
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
    /// The bytes are something else, and we know what.
    #[error(
        "{found}; expected a pickle or joblib file of a scikit-learn model, or a file written by `residual convert`"
    )]
    NotAModel {
        /// What the bytes are.
        found: String,
    },
    /// The file is compressed, and cannot be decompressed.
    #[error("the compressed data is damaged")]
    Compressed {
        /// What the decoder says.
        source: io::Error,
    },
    /// The pickle breaks the format.
    #[error("broken pickle at byte {offset}")]
    Pickle {
        /// Byte offset in the uncompressed stream, just behind what is wrong.
        offset: usize,
        /// What is wrong there.
        source: Cause,
    },
    /// The pickle names code that has no place in a model.
    #[error(
        "it names `{global}`, which no scikit-learn model needs; nothing was executed. \
         Do not load this file in Python either unless you know who wrote it"
    )]
    Forbidden {
        /// `module.name`.
        global: String,
    },
    /// The pickle names another library, or code of its own.
    #[error("it needs `{global}`: {reason}")]
    Foreign {
        /// `module.name`.
        global: String,
        /// Why it cannot be read, and what to do.
        reason: &'static str,
    },
    /// An honest object of a class we have no arithmetic for.
    #[error("{class} at {path} is not supported: {reason}. Supported: {supported}")]
    Unsupported {
        /// The class, with its module.
        class: String,
        /// Where it stands inside the pickle, like `steps[1]`.
        path: String,
        /// Why not, or what to use instead.
        reason: String,
        /// Every supported class.
        supported: String,
    },
    /// A supported class whose attributes are not what that class has.
    #[error("{class} at {path}")]
    Attribute {
        /// The class.
        class: String,
        /// Where it stands inside the pickle.
        path: String,
        /// What is missing or wrong, and the remedy.
        source: Cause,
    },
    /// Reading on would need more than an honest file of this size does.
    #[error("it needs more than {max} {what}, which no honest model of this size does")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// Written by a later `residual`.
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
        /// What the reader of the format says, where one was asked.
        source: Option<Cause>,
    },
    /// The columns offered are not the columns the model was fitted on.
    #[error(
        "the columns do not fit the model: it wants [{}] but the input has [{}]; missing: [{}]",
        wanted.join(", "), found.join(", "), missing.join(", ")
    )]
    Columns {
        /// The model's feature names, in order.
        wanted: Vec<String>,
        /// The header offered.
        found: Vec<String>,
        /// What is wanted and not found.
        missing: Vec<String>,
    },
    /// Rows of the wrong width.
    #[error("the model wants {wanted} features a row, these rows have {found}")]
    Width {
        /// Features the model was fitted on.
        wanted: usize,
        /// Features a row that came.
        found: usize,
    },
    /// One value of one row the model has no answer for.
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
    /// Adds the file's name, once.
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

    /// Of a part of a batch that began at `start`: counts the row from the beginning of the batch.
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

    /// A damaged or foreign safetensors file.
    pub(crate) fn store(problem: impl Into<String>) -> Self {
        Self::Store {
            problem: problem.into(),
            source: None,
        }
    }

    /// The same, found by a library.
    pub(crate) fn store_because(
        problem: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Store {
            problem: problem.into(),
            source: Some(Box::new(source)),
        }
    }

    /// The whole story on one line: this error and every source below it.
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
