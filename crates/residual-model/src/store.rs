//! The converted file: a safetensors file whose metadata holds the form of the model, and what else is known of it, as JSON.
//!
//! Promise: the same model gives the same bytes. Nothing in a file is believed here: the form is validated when its estimator is built.

use std::collections::BTreeMap;

use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::form::{FORMAT, Form};
use crate::info::{ModelInfo, Task};
use crate::labels::Labels;
use crate::tensors::{Data, Tensor, Tensors};

/// Metadata key of the format number; read before anything else.
const FORMAT_KEY: &str = "residual.format";
/// Metadata key of [`Metadata`].
const MODEL_KEY: &str = "residual.model";

/// A model between pickle, converted file and estimator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredModel {
    pub(crate) metadata: Metadata,
    pub(crate) tensors: Tensors,
}

/// Everything about a model but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) class: String,
    pub(crate) library_version: String,
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) n_features: usize,
    pub(crate) shapes: BTreeMap<String, Vec<usize>>,
    pub(crate) source_sha256: String,
    pub(crate) form: Form,
}

impl StoredModel {
    /// What the caller of this crate sees of it, once the estimator has been built.
    pub(crate) fn info(&self, task: Task, classes: Option<Labels>) -> ModelInfo {
        let metadata = self.metadata.clone();
        ModelInfo {
            class: metadata.class,
            library_version: metadata.library_version,
            feature_names: metadata.feature_names,
            n_features: metadata.n_features,
            shapes: metadata.shapes,
            source_sha256: metadata.source_sha256,
            format: FORMAT,
            task,
            classes,
        }
    }

    /// The bytes of the converted file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let json = serde_json::to_string(&self.metadata)
            .map_err(|error| ModelError::store_because("the metadata cannot be written", error))?;
        let raw: BTreeMap<&String, (Dtype, Vec<u8>)> = self
            .tensors
            .all
            .iter()
            .map(|(name, tensor)| (name, to_le_bytes(&tensor.data)))
            .collect();
        let unwritable = |error: SafeTensorError| {
            ModelError::store_because("the tensors cannot be written", error)
        };
        let mut views = BTreeMap::new();
        for (name, (dtype, bytes)) in &raw {
            let shape = self.tensors.all[*name].shape.clone();
            let view = TensorView::new(*dtype, shape, bytes).map_err(unwritable)?;
            views.insert(*name, view);
        }
        // A single key: the library writes several in a random order.
        let metadata = [(MODEL_KEY.to_owned(), json)].into();
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(unwritable)?;
        with_format(&bytes)
    }

    /// Reads the bytes of a converted file.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let foreign = || {
            ModelError::store(
                "the safetensors file was not written by residual: it has no form of a model",
            )
        };
        let strings = header.metadata().as_ref().ok_or_else(foreign)?;
        let format: u32 = strings
            .get(FORMAT_KEY)
            .and_then(|format| format.parse().ok())
            .ok_or_else(foreign)?;
        if format > FORMAT {
            return Err(ModelError::Newer {
                found: format,
                known: FORMAT,
            });
        }
        let json = strings.get(MODEL_KEY).ok_or_else(foreign)?;
        let metadata: Metadata = serde_json::from_str(json).map_err(|error| {
            ModelError::store_because("the form of the model is damaged", error)
        })?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut tensors = Tensors::default();
        for (name, view) in file.iter() {
            let data = from_le_bytes(view.dtype(), view.data())
                .ok_or_else(|| ModelError::store(format!("tensor {name} has an unknown type")))?;
            tensors.all.insert(
                name.to_owned(),
                Tensor {
                    shape: view.shape().to_vec(),
                    data,
                },
            );
        }
        if metadata.shapes != tensors.shapes() {
            return Err(ModelError::store(
                "the tensors do not have the shapes that the metadata says",
            ));
        }
        Ok(Self { metadata, tensors })
    }
}

fn damaged(error: SafeTensorError) -> ModelError {
    // The messages of the first two repeat those of their causes.
    match error {
        SafeTensorError::InvalidHeader(cause) => ModelError::store_because(
            "the safetensors file is damaged: its header is not UTF-8",
            cause,
        ),
        SafeTensorError::InvalidHeaderDeserialization(cause) => {
            ModelError::store_because("the safetensors file is damaged in its header", cause)
        }
        other => ModelError::store_because("the safetensors file is damaged", other),
    }
}

/// Adds the format number as a second metadata key, before the first. Done here because the library writes keys in a random order.
fn with_format(bytes: &[u8]) -> Result<Vec<u8>, ModelError> {
    let broken = || ModelError::store("the header could not be written");
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
    let len = usize::try_from(u64::from_le_bytes(*head)).map_err(|_| broken())?;
    let (header, data) = rest.split_at_checked(len).ok_or_else(broken)?;
    let header = std::str::from_utf8(header)
        .map_err(|_| broken())?
        .trim_end();
    let opening = r#"{"__metadata__":{"#;
    let tail = header.strip_prefix(opening).ok_or_else(broken)?;
    let mut header = format!("{opening}\"{FORMAT_KEY}\":\"{FORMAT}\",{tail}");
    // The data of a safetensors file is aligned to eight bytes.
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = Vec::with_capacity(8 + header.len() + data.len());
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    Ok(file)
}

fn to_le_bytes(data: &Data) -> (Dtype, Vec<u8>) {
    match data {
        Data::F64(values) => (Dtype::F64, flatten(values, f64::to_le_bytes)),
        Data::I32(values) => (Dtype::I32, flatten(values, i32::to_le_bytes)),
        Data::U32(values) => (Dtype::U32, flatten(values, u32::to_le_bytes)),
        Data::U8(values) => (Dtype::U8, values.clone()),
    }
}

fn flatten<T: Copy, const N: usize>(values: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| to_bytes(*value)).collect()
}

/// `None` for a type that no tensor here has.
fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    Some(match dtype {
        Dtype::F64 => Data::F64(chunks(bytes).map(f64::from_le_bytes).collect()),
        Dtype::I32 => Data::I32(chunks(bytes).map(i32::from_le_bytes).collect()),
        Dtype::U32 => Data::U32(chunks(bytes).map(u32::from_le_bytes).collect()),
        Dtype::U8 => Data::U8(bytes.to_vec()),
        _ => return None,
    })
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
