//! A dense layer, `X @ W.T + b`: the arithmetic that most estimators share.
//!
//! A layer with many outputs is a matrix product of candle. One with few, as in every linear model, gains nothing from that and is a
//! plain loop over the same weights; a test compares the two. Promise: a row gets the same bits in every batch.

use candle_core::{Device, Storage, Tensor};

use crate::error::ModelError;
use crate::parallel::BLOCK_ROWS;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};

/// A layer with at most so many outputs is computed by the plain loop, any other by candle.
///
/// The size of the batch must not decide this: the two ways may differ in the last bit, and a caller may predict a row again in
/// another batch and compare.
const PLAIN_OUTPUTS_MAX: usize = 4;

/// Weights of one dense layer.
#[derive(Debug)]
pub(crate) struct Dense {
    /// `[inputs, outputs]`.
    weight: Tensor,
    /// The same, `[outputs, inputs]`.
    plain_weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Dense {
    /// From tensors `[outputs, inputs]` and `[outputs]`.
    pub(crate) fn new(tensors: &Tensors, weight: &Key, bias: &Key) -> Result<Self, ModelError> {
        let matrix = tensors.matrix(weight)?;
        let bias = tensors.vector(bias, matrix.rows)?;
        Self::from_parts(matrix.columns, matrix.values.to_vec(), bias.to_vec())
    }

    /// The same, for exactly one output.
    pub(crate) fn with_one_output(
        tensors: &Tensors,
        weight: &Key,
        bias: &Key,
    ) -> Result<Self, ModelError> {
        let dense = Self::new(tensors, weight, bias)?;
        if dense.outputs() == 1 {
            Ok(dense)
        } else {
            Err(ModelError::store("a regressor has one target"))
        }
    }

    /// From `weight` `[outputs, inputs]` and one bias for each output.
    pub(crate) fn from_parts(
        inputs: usize,
        weight: Vec<f64>,
        bias: Vec<f64>,
    ) -> Result<Self, ModelError> {
        let outputs = bias.len();
        if inputs.checked_mul(outputs) != Some(weight.len()) || weight.is_empty() {
            return Err(ModelError::store(
                "the weights of a layer do not fit its inputs and outputs",
            ));
        }
        // Large batches are already spread over the cores by their rows. A product that started threads of its own on
        // busy cores would wait for them: measured, a network over 1024 rows was ten times as fast without.
        gemm::set_threading_threshold(usize::MAX);
        let tensor = Tensor::from_slice(&weight, (outputs, inputs), &Device::Cpu)?
            .t()?
            .contiguous()?;
        Ok(Self {
            weight: tensor,
            plain_weight: weight,
            bias,
        })
    }

    pub(crate) fn inputs(&self) -> usize {
        self.plain_weight.len() / self.bias.len()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Number of weights.
    pub(crate) fn len(&self) -> usize {
        self.plain_weight.len()
    }

    /// `[n, inputs]` to `[n, outputs]`.
    pub(crate) fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        self.apply_with(rows, |sum| sum)
    }

    /// `[n, inputs]` to `[n, outputs]`, and `activation` of each output.
    pub(crate) fn apply_with(
        &self,
        rows: &Rows,
        activation: impl Fn(f64) -> f64,
    ) -> Result<Rows, ModelError> {
        rows.require_width(self.inputs())?;
        if self.outputs() <= PLAIN_OUTPUTS_MAX {
            Ok(self.apply_plain(rows, activation))
        } else {
            self.apply_candle(rows, activation)
        }
    }

    fn apply_plain(&self, rows: &Rows, activation: impl Fn(f64) -> f64) -> Rows {
        let mut output = Rows::zeros(rows.n_rows(), self.outputs());
        for index in 0..rows.n_rows() {
            let row = rows.row(index);
            for ((out, weights), bias) in output
                .row_mut(index)
                .iter_mut()
                .zip(self.plain_weight.chunks_exact(row.len()))
                .zip(&self.bias)
            {
                *out = activation(dot(row, weights) + bias);
            }
        }
        output
    }

    fn apply_candle(
        &self,
        rows: &Rows,
        activation: impl Fn(f64) -> f64,
    ) -> Result<Rows, ModelError> {
        let mut output = Vec::with_capacity(rows.n_rows() * self.outputs());
        for values in rows.as_slice().chunks(BLOCK_ROWS * self.inputs()) {
            let shape = (values.len() / self.inputs(), self.inputs());
            let product = Tensor::from_slice(values, shape, &Device::Cpu)?.matmul(&self.weight)?;
            // The product is read where candle keeps it, so that bias and `activation` take no pass of their own.
            let (storage, _) = product.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else {
                return Err(ModelError::store("a product left the processor"));
            };
            for sums in storage.as_slice::<f64>()?.chunks_exact(self.outputs()) {
                let sums = sums.iter().zip(&self.bias);
                output.extend(sums.map(|(sum, bias)| activation(sum + bias)));
            }
        }
        Rows::new(self.outputs(), output)
    }
}

/// Scalar product in four independent sums, so that no addition has to wait for the one before.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A layer and rows of any numbers between -1 and 1.
    fn layer(inputs: usize, outputs: usize, n_rows: usize, seed: u64) -> (Dense, Rows) {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            #[expect(clippy::cast_precision_loss, reason = "a test value")]
            let value = (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
            value
        };
        let weight: Vec<f64> = (0..inputs * outputs).map(|_| next()).collect();
        let bias: Vec<f64> = (0..outputs).map(|_| next()).collect();
        let rows = Rows::new(inputs, (0..inputs * n_rows).map(|_| next()).collect()).unwrap();
        (Dense::from_parts(inputs, weight, bias).unwrap(), rows)
    }

    proptest! {
        #[test]
        fn a_row_is_answered_by_the_same_bits_alone_and_in_any_batch(inputs in 1_usize..70, outputs in 1_usize..120, n_rows in 2_usize..300, seed in any::<u64>()) {
            let (dense, rows) = layer(inputs, outputs, n_rows, seed);
            let together = dense.apply(&rows).unwrap();
            for at in [0, n_rows / 2, n_rows - 1] {
                let alone = dense.apply(&rows.slice_rows(at, at + 1)).unwrap();
                prop_assert_eq!(alone.row(0), together.row(at));
            }
        }

        #[test]
        fn the_plain_loop_and_candle_agree(inputs in 1_usize..24, outputs in 1_usize..6, n_rows in 1_usize..40, seed in any::<u64>()) {
            let (dense, rows) = layer(inputs, outputs, n_rows, seed);
            let (plain, candle) = (dense.apply_plain(&rows, f64::abs), dense.apply_candle(&rows, f64::abs).unwrap());
            prop_assert_eq!(plain.n_rows(), candle.n_rows());
            for (a, b) in plain.as_slice().iter().zip(candle.as_slice()) {
                prop_assert!((a - b).abs() <= 1e-11, "{a} {b}");
            }
        }
    }
}
