//! The numbers of a model, by name: the extractors write them, the safetensors file holds them, the estimators read them.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::rows::Rows;

/// Name of a tensor in [`Tensors`]: its path inside the pickle, such as `steps[1].coef_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Key(pub(crate) String);

/// A dense array in C order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

impl Tensor {
    fn bytes(&self) -> usize {
        match &self.data {
            Data::F64(values) => values.len() * 8,
            Data::I32(values) => values.len() * 4,
            Data::U32(values) => values.len() * 4,
            Data::U8(values) => values.len(),
        }
    }
}

/// Elements of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    F64(Vec<f64>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

/// A borrowed matrix in C order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'t> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: &'t [f64],
}

impl Matrix<'_> {
    /// A copy of it.
    pub(crate) fn to_rows(self) -> Result<Rows, ModelError> {
        Rows::new(self.columns, self.values.to_vec())
    }
}

/// Bytes that estimators may copy of any model, however small it is.
const COPIED_BYTES_FREE: usize = 64 << 20;
/// Beyond that, how often they may copy everything there is. A form may name a tensor more than once; honest ones name each once
/// or twice.
const COPIES_MAX: usize = 8;

/// All tensors of a model, sorted by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tensors {
    pub(crate) all: BTreeMap<String, Tensor>,
    /// Bytes that were read so far, which is at least what estimators have copied.
    read_bytes: Cell<usize>,
}

impl Tensors {
    pub(crate) fn insert(&mut self, name: String, shape: Vec<usize>, data: Data) -> Key {
        self.all.insert(name.clone(), Tensor { shape, data });
        Key(name)
    }

    pub(crate) fn insert_vector(&mut self, name: String, values: Vec<f64>) -> Key {
        self.insert(name, vec![values.len()], Data::F64(values))
    }

    fn tensor(&self, key: &Key) -> Result<&Tensor, ModelError> {
        let missing = || ModelError::store(format!("tensor {} is missing", key.0));
        let tensor = self.all.get(&key.0).ok_or_else(missing)?;
        let read_bytes = self.read_bytes.get().saturating_add(tensor.bytes());
        let total: usize = if read_bytes > COPIED_BYTES_FREE {
            self.all.values().map(Tensor::bytes).sum()
        } else {
            0
        };
        if read_bytes > COPIED_BYTES_FREE.saturating_add(total.saturating_mul(COPIES_MAX)) {
            return Err(ModelError::store(
                "its form names the same tensors over and over",
            ));
        }
        self.read_bytes.set(read_bytes);
        Ok(tensor)
    }

    /// Elements of an f64 tensor of any shape.
    pub(crate) fn f64s(&self, key: &Key) -> Result<&[f64], ModelError> {
        match &self.tensor(key)?.data {
            Data::F64(values) => Ok(values),
            _ => Err(ModelError::store(format!("tensor {} is not of f64", key.0))),
        }
    }

    /// An f64 vector of `len` elements.
    pub(crate) fn vector(&self, key: &Key, len: usize) -> Result<&[f64], ModelError> {
        let values = self.f64s(key)?;
        if values.len() == len {
            return Ok(values);
        }
        Err(ModelError::store(format!(
            "tensor {} has {} elements instead of {len}",
            key.0,
            values.len()
        )))
    }

    /// A copy of an f64 vector of `len` elements, if there is one.
    pub(crate) fn optional_vector(
        &self,
        key: Option<&Key>,
        len: usize,
    ) -> Result<Option<Vec<f64>>, ModelError> {
        key.map(|key| self.vector(key, len).map(<[f64]>::to_vec))
            .transpose()
    }

    /// An f64 matrix.
    pub(crate) fn matrix(&self, key: &Key) -> Result<Matrix<'_>, ModelError> {
        let values = self.f64s(key)?;
        match self
            .all
            .get(&key.0)
            .map(|tensor| tensor.shape.as_slice())
            .unwrap_or_default()
        {
            &[rows, columns] if rows > 0 && columns > 0 => Ok(Matrix {
                rows,
                columns,
                values,
            }),
            shape => Err(ModelError::store(format!(
                "tensor {} has shape {shape:?}, not two axes with something in them",
                key.0
            ))),
        }
    }

    pub(crate) fn i32s(&self, key: &Key) -> Result<&[i32], ModelError> {
        match &self.tensor(key)?.data {
            Data::I32(values) => Ok(values),
            _ => Err(ModelError::store(format!("tensor {} is not of i32", key.0))),
        }
    }

    pub(crate) fn u32s(&self, key: &Key) -> Result<&[u32], ModelError> {
        match &self.tensor(key)?.data {
            Data::U32(values) => Ok(values),
            _ => Err(ModelError::store(format!("tensor {} is not of u32", key.0))),
        }
    }

    pub(crate) fn u8s(&self, key: &Key) -> Result<&[u8], ModelError> {
        match &self.tensor(key)?.data {
            Data::U8(values) => Ok(values),
            _ => Err(ModelError::store(format!("tensor {} is not of u8", key.0))),
        }
    }

    /// Shape of every tensor.
    pub(crate) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.all
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect()
    }
}
