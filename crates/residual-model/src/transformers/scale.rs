//! Scalers: each value is changed by itself, or by the norm of its row.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form::{self, Norm};
use crate::rows::Rows;
use crate::tensors::Tensors;

/// `'passthrough'`: changes nothing.
#[derive(Debug)]
pub(super) struct Passthrough {
    pub(super) width: usize,
}

impl Transformer for Passthrough {
    fn outputs(&self) -> usize {
        self.width
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(rows.clone())
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(rows.clone())
    }
}

/// `StandardScaler`, `RobustScaler`, `MaxAbsScaler`.
#[derive(Debug)]
pub(super) struct Scale {
    center: Option<Vec<f64>>,
    divisor: Option<Vec<f64>>,
    width: usize,
}

impl Scale {
    pub(super) fn new(
        form: &form::Scale,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            center: tensors.optional_vector(form.center.as_ref(), width)?,
            divisor: tensors.optional_vector(form.scale.as_ref(), width)?,
            width,
        })
    }
}

impl Transformer for Scale {
    fn outputs(&self) -> usize {
        self.width
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        let mut output = rows.clone();
        if let Some(center) = &self.center {
            output.map_by_column(center, |value, center| value - center);
        }
        if let Some(divisor) = &self.divisor {
            output.map_by_column(divisor, |value, divisor| value / divisor);
        }
        Ok(output)
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut output = rows.clone();
        if let Some(divisor) = &self.divisor {
            output.map_by_column(divisor, |value, divisor| value * divisor);
        }
        if let Some(center) = &self.center {
            output.map_by_column(center, |value, center| value + center);
        }
        Ok(output)
    }
}

/// `MinMaxScaler`.
#[derive(Debug)]
pub(super) struct MinMax {
    scale: Vec<f64>,
    offset: Vec<f64>,
    clip: Option<(f64, f64)>,
}

impl MinMax {
    pub(super) fn new(
        form: &form::MinMax,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            scale: tensors.vector(&form.scale, width)?.to_vec(),
            offset: tensors.vector(&form.offset, width)?.to_vec(),
            clip: form.clip.filter(|(low, high)| low <= high),
        })
    }
}

impl Transformer for MinMax {
    fn outputs(&self) -> usize {
        self.scale.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        let mut output = rows.clone();
        output.map_by_column(&self.scale, |value, scale| value * scale);
        output.map_by_column(&self.offset, |value, offset| value + offset);
        if let Some((low, high)) = self.clip {
            for value in output.as_mut_slice() {
                *value = value.clamp(low, high);
            }
        }
        Ok(output)
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let mut output = rows.clone();
        output.map_by_column(&self.offset, |value, offset| value - offset);
        output.map_by_column(&self.scale, |value, scale| value / scale);
        Ok(output)
    }
}

/// `Normalizer`.
#[derive(Debug)]
pub(super) struct Normalize {
    norm: Norm,
    width: usize,
}

impl Normalize {
    pub(super) fn new(form: &form::Normalize, width: usize) -> Self {
        Self {
            norm: form.norm,
            width,
        }
    }
}

impl Transformer for Normalize {
    fn outputs(&self) -> usize {
        self.width
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut output = rows.clone();
        for row in output.iter_mut() {
            let norm = match self.norm {
                Norm::L1 => row.iter().map(|value| value.abs()).sum(),
                Norm::L2 => row.iter().map(|value| value * value).sum::<f64>().sqrt(),
                Norm::Max => row.iter().fold(0.0, |max: f64, value| max.max(value.abs())),
            };
            if norm != 0.0 {
                for value in row {
                    *value /= norm;
                }
            }
        }
        Ok(output)
    }
}

/// `Binarizer`.
#[derive(Debug)]
pub(super) struct Binarize {
    threshold: f64,
    width: usize,
}

impl Binarize {
    pub(super) fn new(form: &form::Binarize, width: usize) -> Self {
        Self {
            threshold: form.threshold,
            width,
        }
    }
}

impl Transformer for Binarize {
    fn outputs(&self) -> usize {
        self.width
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut output = rows.clone();
        for value in output.as_mut_slice() {
            *value = f64::from(u8::from(*value > self.threshold));
        }
        Ok(output)
    }
}
