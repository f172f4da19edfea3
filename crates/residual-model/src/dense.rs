//! `X @ W.T + b` in candle, the arithmetic most estimators share.
//!
//! A layer of a few outputs, as of every linear model, gains nothing from a matrix product and takes a plain loop over the
//! same weights; a test holds one against the other. Promise: a row's answer has the same bits in every batch.

use candle_core::{Device, Storage, Tensor};

use crate::error::ModelError;
use crate::parallel::BLOCK_ROWS;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};

/// A layer of at most so many outputs is summed by the plain loop, any other by candle.
///
/// Never by the size of the batch: the two ways differ in the last bit, and a row that is delivered again comes in another
/// batch. The same answer is a duplicate there, another one would be a conflict.
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

    /// The same, of exactly one output.
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

    /// From `weight` `[outputs, inputs]` and one bias an output.
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
        // Large batches are spread over the cores by their rows; a product that starts threads of its own on busy cores
        // waits for them. Measured, a network over 1024 rows was ten times as fast without.
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
        self.apply_then(rows, |sum| sum)
    }

    /// `[n, inputs]` to `[n, outputs]`, and `finish` of each.
    pub(crate) fn apply_then(
        &self,
        rows: &Rows,
        finish: impl Fn(f64) -> f64,
    ) -> Result<Rows, ModelError> {
        rows.require_width(self.inputs())?;
        if self.outputs() <= PLAIN_OUTPUTS_MAX {
            Ok(self.plain(rows, finish))
        } else {
            self.candle(rows, finish)
        }
    }

    fn plain(&self, rows: &Rows, finish: impl Fn(f64) -> f64) -> Rows {
        let mut output = Rows::zeros(rows.n_rows(), self.outputs());
        for index in 0..rows.n_rows() {
            let row = rows.row(index);
            for ((out, weights), bias) in output
                .row_mut(index)
                .iter_mut()
                .zip(self.plain_weight.chunks_exact(row.len()))
                .zip(&self.bias)
            {
                *out = finish(dot(row, weights) + bias);
            }
        }
        output
    }

    fn candle(&self, rows: &Rows, finish: impl Fn(f64) -> f64) -> Result<Rows, ModelError> {
        let mut output = Vec::with_capacity(rows.n_rows() * self.outputs());
        for values in rows.as_slice().chunks(BLOCK_ROWS * self.inputs()) {
            let shape = (values.len() / self.inputs(), self.inputs());
            let product = Tensor::from_slice(values, shape, &Device::Cpu)?.matmul(&self.weight)?;
            // Read in place, so that bias and `finish` cost no pass of their own.
            let (storage, _) = product.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else {
                return Err(ModelError::store("a product left the processor"));
            };
            for sums in storage.as_slice::<f64>()?.chunks_exact(self.outputs()) {
                let sums = sums.iter().zip(&self.bias);
                output.extend(sums.map(|(sum, bias)| finish(sum + bias)));
            }
        }
        Rows::new(self.outputs(), output)
    }
}

/// Scalar product over four sums at once, so that one addition need not wait for the last.
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
            let (plain, candle) = (dense.plain(&rows, f64::abs), dense.candle(&rows, f64::abs).unwrap());
            prop_assert_eq!(plain.n_rows(), candle.n_rows());
            for (a, b) in plain.as_slice().iter().zip(candle.as_slice()) {
                prop_assert!((a - b).abs() <= 1e-11, "{a} {b}");
            }
        }
    }
}
