//! What travels on the bus: records under an id, packed into frames, in postcard or JSON.
//!
//! A *frame* is the body of one bus message: 1..n records of one topic. Our own services write
//! [`Encoding::Postcard`]; everyone else may write [`Encoding::Json`], one object or an array of
//! `{"id": string|number, "body": number|[numbers]}`. Every consumer reads both. A classifier's prediction may bring
//! `"probabilities": [numbers]`, one a class; a missing feature is `null` (in postcard NaN).
//!
//! Promises: an id from outside is kept exactly as written (a number keeps its text, it never passes through a
//! float); one bad record of a frame is refused alone and with its reason; a length that a frame merely claims is
//! never allocated. Deliberately absent: Python pickles, compression, schemas beyond the two shapes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod error;
mod frame;
mod id;
mod probabilities;
#[cfg(test)]
mod tests;

pub use error::{BodyError, FrameError, ProbabilitiesError, RecordError};
pub use frame::{
    Decoded, Encoding, Frame, JSON, Malformed, POSTCARD, POSTCARD_PROBABILITIES, decode, encode,
};
pub use id::{ID_BYTES_MAX, IdError, IdSource, RecordId, RunTag};
pub use probabilities::Probabilities;

/// One thing under one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<B> {
    /// Joins the topics.
    pub id: RecordId,
    /// What the topic is about.
    pub body: B,
}

/// The body of a record: which topic it travels on, and how it looks on the wire.
pub trait Body: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic that carries it.
    const TOPIC: &'static str;

    /// The values, for checking and for JSON.
    fn values(&self) -> &[f64];

    /// From the values of a JSON body; a lone number is a list of one.
    ///
    /// # Errors
    /// When they are not as many as the topic has.
    fn from_values(values: Vec<f64>) -> Result<Self, BodyError>;

    /// Whether JSON writes a list even for one value.
    const IS_LIST: bool;

    /// Whether NaN stands for a value that is missing.
    const ALLOWS_MISSING: bool = false;

    /// Whether records may bring probabilities.
    const ALLOWS_PROBABILITIES: bool = false;

    /// The probabilities of the classes, where the record brings any.
    fn probabilities(&self) -> Option<&Probabilities> {
        None
    }

    /// The same body with these probabilities; a body that has no place for them leaves them out.
    #[must_use]
    fn with_probabilities(self, _probabilities: Probabilities) -> Self {
        self
    }
}

/// A feature vector, in the model's column order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features(pub Vec<f64>);

/// The true answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth(pub f64);

/// The model's answer. Two machine words, so that a stream of numbers does not pay for what only classifiers have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// A number, or a label as a number.
    pub y_pred: f64,
    /// A classifier's, where it has any. They have a frame of their own, see [`POSTCARD_PROBABILITIES`].
    #[serde(skip)]
    pub probabilities: Option<Box<Probabilities>>,
}

impl Prediction {
    /// An answer alone.
    #[must_use]
    pub fn new(y_pred: f64) -> Self {
        Self {
            y_pred,
            probabilities: None,
        }
    }
}

impl Body for Features {
    const TOPIC: &'static str = "features";
    const IS_LIST: bool = true;
    const ALLOWS_MISSING: bool = true;

    fn values(&self) -> &[f64] {
        &self.0
    }

    fn from_values(values: Vec<f64>) -> Result<Self, BodyError> {
        if values.is_empty() {
            Err(BodyError::NoFeatures)
        } else {
            Ok(Self(values))
        }
    }
}

fn single(values: &[f64]) -> Result<f64, BodyError> {
    match values {
        [value] => Ok(*value),
        _ => Err(BodyError::NotOne {
            count: values.len(),
        }),
    }
}

impl Body for Truth {
    const TOPIC: &'static str = "y_true";
    const IS_LIST: bool = false;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.0)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, BodyError> {
        single(&values).map(Self)
    }
}

impl Body for Prediction {
    const TOPIC: &'static str = "y_pred";
    const IS_LIST: bool = false;
    const ALLOWS_PROBABILITIES: bool = true;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.y_pred)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, BodyError> {
        single(&values).map(Self::new)
    }

    fn probabilities(&self) -> Option<&Probabilities> {
        self.probabilities.as_deref()
    }

    fn with_probabilities(self, probabilities: Probabilities) -> Self {
        Self {
            probabilities: Some(Box::new(probabilities)),
            ..self
        }
    }
}
