//! Why a frame, or one record of it, cannot be used.
//!
//! Promise: each text is one line that can stand in a dead letter and in an answer to whoever sent the record.

use super::{IdError, JSON, POSTCARD};
use crate::task::CLASSES_MAX;

/// A frame that cannot be taken apart at all.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The media type is not one of ours.
    #[error("content type `{0}` is not understood; send `{JSON}` or `{POSTCARD}`")]
    ContentType(String),
    /// Not the JSON shape.
    #[error("frame is not JSON of the shape {{\"id\": …, \"body\": …}} or an array of it")]
    Json(#[source] serde_json::Error),
    /// Not postcard, or of another topic.
    #[error("frame is not postcard records of this topic")]
    Postcard(#[source] postcard::Error),
    /// Bytes after the last record: the frame is of another topic or damaged.
    #[error("frame has {size} bytes after its last record")]
    Trailing {
        /// How many.
        size: usize,
    },
    /// A frame without records has no meaning.
    #[error("frame has no records")]
    Empty,
}

/// A record that cannot be used, in a frame whose others may be good.
///
/// What the JSON reader reports about a single record is left out: its line and column count from the record's own
/// beginning, which no sender knows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// Not an object of the record's shape.
    #[error("record is not an object of the shape {{\"id\": …, \"body\": …}}")]
    Shape,
    /// Nothing to join by.
    #[error("record has no `id`")]
    NoId,
    /// The id cannot be used.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Nothing to work with.
    #[error("record has no `body`")]
    NoBody,
    /// The body cannot be used.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The probabilities are no list of numbers.
    #[error("`probabilities` is no list of numbers")]
    ProbabilitiesShape,
    /// The probabilities cannot be used.
    #[error(transparent)]
    Probabilities(#[from] ProbabilitiesError),
}

/// Values that are no body of their topic.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// A model needs at least one feature.
    #[error("body has no features")]
    NoFeatures,
    /// A topic of single numbers, and not one number.
    #[error("body has {count} values, expected one")]
    NotOne {
        /// How many there are.
        count: usize,
    },
    /// Infinite, or NaN where no value may be missing.
    #[error("value {index} of the body is {value}, expected a finite number")]
    NotFinite {
        /// Which, from 0.
        index: usize,
        /// What it is.
        value: f64,
    },
    /// JSON of another kind.
    #[error("body is neither a finite number nor a list of finite numbers")]
    NotNumbers,
    /// JSON of another kind, where values may be missing.
    #[error("body is neither a finite number nor a list of finite numbers and `null`")]
    NotNumbersOrNull,
}

/// Numbers that are no probabilities of classes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProbabilitiesError {
    /// None, or more than a model can have classes.
    #[error(
        "record has {count} probabilities, expected one for each of 1 to {CLASSES_MAX} classes"
    )]
    Count {
        /// How many there are.
        count: usize,
    },
    /// Outside of 0 to 1, or NaN.
    #[error("probability {index} is {value}, expected a number from 0 to 1")]
    OutOfRange {
        /// Which, from 0.
        index: usize,
        /// What it is.
        value: f64,
    },
    /// Not normalised.
    #[error("probabilities sum up to {sum}, expected 1")]
    Sum {
        /// What they sum up to.
        sum: f64,
    },
}
