//! What travels on the bus: records under an id, packed into frames, in postcard or JSON.
//!
//! A *frame* is the body of one bus message: 1..n records of one topic. Our own services write
//! [`Encoding::Postcard`]; everyone else may write [`Encoding::Json`], one object or an array of
//! `{"id": string|number, "body": number|[numbers]}`. Every consumer reads both.
//!
//! Promises: an id from outside is kept exactly as written (a number keeps its text, it never passes through a
//! float); one bad record of a frame is refused alone and with its reason; a length that a frame merely claims is
//! never allocated. Deliberately absent: Python pickles, compression, schemas beyond the two shapes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod frame;
mod id;
#[cfg(test)]
mod tests;

pub use frame::{Decoded, Encoding, Frame, FrameError, JSON, Malformed, POSTCARD, decode, encode};
pub use id::{ID_BYTES_MAX, IdError, IdSource, RecordId, RunTag};

/// One thing under one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<B> {
    /// Joins the topics.
    pub id: RecordId,
    /// What the topic is about.
    pub body: B,
}

/// The body of a record: says which topic it travels on and how it looks on the wire.
pub trait Body: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic that carries it.
    const TOPIC: &'static str;

    /// The values, for checking and for JSON.
    fn values(&self) -> &[f64];

    /// From the values of a JSON body; a lone number is a list of one.
    ///
    /// # Errors
    /// A reason in words.
    fn from_values(values: Vec<f64>) -> Result<Self, String>;

    /// Whether JSON writes a list even for one value.
    const IS_LIST: bool;
}

/// A feature vector, in the model's column order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features(pub Vec<f64>);

/// The true answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth(pub f64);

/// The model's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction(pub f64);

impl Body for Features {
    const TOPIC: &'static str = "features";
    const IS_LIST: bool = true;

    fn values(&self) -> &[f64] {
        &self.0
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        if values.is_empty() {
            Err("body has no features".to_owned())
        } else {
            Ok(Self(values))
        }
    }
}

fn single(values: &[f64]) -> Result<f64, String> {
    match values {
        [value] => Ok(*value),
        _ => Err(format!("body has {} values, expected one", values.len())),
    }
}

impl Body for Truth {
    const TOPIC: &'static str = "y_true";
    const IS_LIST: bool = false;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.0)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        single(&values).map(Self)
    }
}

impl Body for Prediction {
    const TOPIC: &'static str = "y_pred";
    const IS_LIST: bool = false;

    fn values(&self) -> &[f64] {
        std::slice::from_ref(&self.0)
    }

    fn from_values(values: Vec<f64>) -> Result<Self, String> {
        single(&values).map(Self)
    }
}
