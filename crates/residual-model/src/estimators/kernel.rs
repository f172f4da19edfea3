//! Support vector machines and kernel ridge regression.

use super::estimator::{Estimator, require_outputs};
use crate::dense::Dense;
use crate::error::ModelError;
use crate::form::{self, Kernel};
use crate::info::Task;
use crate::labels::Labels;
use crate::numeric::argmax;
use crate::parallel::map_blocks;
use crate::rows::Rows;
use crate::tensors::{Matrix, Tensors};

/// The support vectors, with which every row is compared.
#[derive(Debug)]
struct SupportVectors {
    kernel: Kernel,
    /// Scalar products with the support vectors.
    dense: Dense,
    vectors: Vec<f64>,
}

impl SupportVectors {
    fn new(vectors: Matrix<'_>, kernel: Kernel) -> Result<Self, ModelError> {
        let dense = Dense::from_parts(
            vectors.columns,
            vectors.values.to_vec(),
            vec![0.0; vectors.rows],
        )?;
        Ok(Self {
            kernel,
            dense,
            vectors: vectors.values.to_vec(),
        })
    }

    fn len(&self) -> usize {
        self.dense.outputs()
    }

    /// Sums of the similarities of each row, weighted by `dual`: `[n, dual.outputs()]`.
    fn weighted_sums(&self, rows: &Rows, dual: &Dense) -> Result<Rows, ModelError> {
        let work = self.dense.len() + dual.len();
        map_blocks(rows, work, |rows| dual.apply(&self.similarities(rows)?))
    }

    /// The kernel of each row with each support vector, `[n, vectors]`.
    fn similarities(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        if let Kernel::Rbf { gamma } = self.kernel {
            // By differences: |x|^2 - 2 x s + |s|^2 would lose digits for points that lie close.
            let mut output = Rows::zeros(rows.n_rows(), self.len());
            for (index, row) in rows.iter().enumerate() {
                for (out, vector) in output
                    .row_mut(index)
                    .iter_mut()
                    .zip(self.vectors.chunks_exact(row.len()))
                {
                    let squared: f64 = row.iter().zip(vector).map(|(x, s)| (x - s) * (x - s)).sum();
                    *out = (-gamma * squared).exp();
                }
            }
            return Ok(output);
        }
        let mut output = self.dense.apply(rows)?;
        for value in output.as_mut_slice() {
            *value = match self.kernel {
                Kernel::Poly {
                    gamma,
                    coef0,
                    degree,
                } => (gamma * *value + coef0).powf(degree),
                Kernel::Sigmoid { gamma, coef0 } => (gamma * *value + coef0).tanh(),
                Kernel::Linear {} | Kernel::Rbf { .. } => *value,
            };
        }
        Ok(output)
    }
}

/// `SVR`, `NuSVR`, `KernelRidge`, and `OneClassSVM`, of which only the sign counts.
#[derive(Debug)]
pub(super) struct KernelRegressor {
    support: SupportVectors,
    dual_coef: Dense,
    detects_outliers: bool,
}

impl KernelRegressor {
    pub(super) fn new(form: &form::KernelRegressor, tensors: &Tensors) -> Result<Self, ModelError> {
        let support = SupportVectors::new(tensors.matrix(&form.support_vectors)?, form.kernel)?;
        let dual_coef = Dense::with_one_output(tensors, &form.dual_coef, &form.intercept)?;
        require_outputs(dual_coef.inputs(), support.len())?;
        Ok(Self {
            support,
            dual_coef,
            detects_outliers: form.detects_outliers,
        })
    }
}

impl Estimator for KernelRegressor {
    fn n_features(&self) -> usize {
        self.support.dense.inputs()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let scores = self
            .support
            .weighted_sums(rows, &self.dual_coef)?
            .into_values();
        if !self.detects_outliers {
            return Ok(scores);
        }
        Ok(scores
            .into_iter()
            .map(|score| if score > 0.0 { 1.0 } else { -1.0 })
            .collect())
    }

    fn task(&self) -> Task {
        if self.detects_outliers {
            Task::OutlierDetection
        } else {
            Task::Regression
        }
    }
}

/// `SVC` and `NuSVC`: one classifier for each pair of classes.
#[derive(Debug)]
pub(super) struct KernelClassifier {
    support: SupportVectors,
    /// `[pairs, vectors]`: zero where a vector belongs to neither class.
    pairs: Dense,
    classes: Labels,
    break_ties: bool,
    platt: Option<(Vec<f64>, Vec<f64>)>,
}

/// Pairs of classes in the order of their classifiers.
fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |first| (first + 1..classes).map(move |second| (first, second)))
}

impl KernelClassifier {
    pub(super) fn new(
        form: &form::KernelClassifier,
        tensors: &Tensors,
    ) -> Result<Self, ModelError> {
        let support = SupportVectors::new(tensors.matrix(&form.support_vectors)?, form.kernel)?;
        let n_support = tensors.u32s(&form.n_support)?;
        require_outputs(n_support.len(), form.classes.len())?;
        let dual_coef = tensors.matrix(&form.dual_coef)?;
        let pairs = Self::of_pairs(dual_coef, n_support, tensors.f64s(&form.intercept)?)?;
        require_outputs(pairs.inputs(), support.len())?;
        let numbers = |key| tensors.vector(key, pairs.outputs()).map(<[f64]>::to_vec);
        let platt = form
            .platt
            .as_ref()
            .map(|(a, b)| Ok::<_, ModelError>((numbers(a)?, numbers(b)?)))
            .transpose()?;
        Ok(Self {
            support,
            pairs,
            classes: form.classes.clone(),
            break_ties: form.break_ties,
            platt,
        })
    }

    /// From libsvm's compact `dual` `[classes - 1, vectors]` to one row of weights for each pair.
    fn of_pairs(dual: Matrix<'_>, counts: &[u32], intercept: &[f64]) -> Result<Dense, ModelError> {
        let classes = counts.len();
        let total = counts
            .iter()
            .try_fold(0_usize, |sum, count| sum.checked_add(*count as usize));
        let expected = classes
            .checked_mul(classes.saturating_sub(1))
            .map(|twice| twice / 2);
        if classes < 2
            || dual.rows != classes - 1
            || total != Some(dual.columns)
            || expected != Some(intercept.len())
        {
            return Err(ModelError::store(
                "the support vectors do not fit the classes",
            ));
        }
        let size = dual
            .columns
            .checked_mul(intercept.len())
            .filter(|size| *size <= 1 << 25);
        let mut weights =
            vec![0.0; size.ok_or_else(|| ModelError::store("too many pairs of classes"))?];
        let starts: Vec<usize> = counts
            .iter()
            .scan(0, |start, count| {
                Some(std::mem::replace(start, *start + *count as usize))
            })
            .collect();
        for (row, (first, second)) in weights
            .chunks_exact_mut(dual.columns.max(1))
            .zip(pairs(classes))
        {
            for (class, line) in [(first, second - 1), (second, first)] {
                let range = starts[class]..starts[class] + counts[class] as usize;
                row[range.clone()].copy_from_slice(
                    &dual.values[line * dual.columns..(line + 1) * dual.columns][range],
                );
            }
        }
        Dense::from_parts(dual.columns, weights, intercept.to_vec())
    }

    /// libsvm's decision for each pair of each row; positive is for the first class of the pair.
    fn decisions(&self, rows: &Rows) -> Result<Rows, ModelError> {
        self.support.weighted_sums(rows, &self.pairs)
    }

    fn votes(&self, decisions: &[f64]) -> Vec<f64> {
        let mut votes = vec![0.0; self.classes.len()];
        for (decision, (first, second)) in decisions.iter().zip(pairs(self.classes.len())) {
            votes[if *decision > 0.0 { first } else { second }] += 1.0;
        }
        votes
    }

    /// scikit-learn's `_ovr_decision_function`: votes, and sums of the decisions scaled to less than half a vote to break ties.
    fn ovr_decisions(&self, decisions: &[f64]) -> Vec<f64> {
        let mut confidence = vec![0.0; self.classes.len()];
        let mut votes = vec![0.0; self.classes.len()];
        for (decision, (first, second)) in decisions.iter().zip(pairs(self.classes.len())) {
            confidence[first] += decision;
            confidence[second] -= decision;
            votes[if *decision < 0.0 { second } else { first }] += 1.0;
        }
        votes
            .iter()
            .zip(confidence)
            .map(|(votes, sum)| votes + sum / (3.0 * (sum.abs() + 1.0)))
            .collect()
    }

    fn probabilities(&self, decisions: &[f64], (a, b): (&[f64], &[f64])) -> Vec<f64> {
        let count = self.classes.len();
        let mut pairwise = vec![0.0; count * count];
        for (index, (first, second)) in pairs(count).enumerate() {
            let p = platt(decisions[index], a[index], b[index]).clamp(1e-7, 1.0 - 1e-7);
            pairwise[first * count + second] = p;
            pairwise[second * count + first] = 1.0 - p;
        }
        pairwise_coupling(count, &pairwise)
    }
}

/// Platt's sigmoid, written so that nothing overflows.
fn platt(decision: f64, a: f64, b: f64) -> f64 {
    let x = decision * a + b;
    if x >= 0.0 {
        (-x).exp() / (1.0 + (-x).exp())
    } else {
        1.0 / (1.0 + x.exp())
    }
}

/// From pairwise to class probabilities, by the second method of Wu, Lin and Weng (2004), stopped where libsvm stops.
fn pairwise_coupling(count: usize, r: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
    let k = count as f64;
    let mut q = vec![0.0; count * count];
    for t in 0..count {
        for j in (0..count).filter(|j| *j != t) {
            q[t * count + t] += r[j * count + t] * r[j * count + t];
            q[t * count + j] = -r[j * count + t] * r[t * count + j];
        }
    }
    let mut p = vec![1.0 / k; count];
    for _ in 0..count.max(100) {
        let mut qp: Vec<f64> = q
            .chunks_exact(count)
            .map(|row| row.iter().zip(&p).map(|(q, p)| q * p).sum())
            .collect();
        let mut pqp: f64 = p.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        if qp
            .iter()
            .fold(0.0, |max: f64, qp| max.max((qp - pqp).abs()))
            < 0.005 / k
        {
            break;
        }
        for t in 0..count {
            let diff = (pqp - qp[t]) / q[t * count + t];
            p[t] += diff;
            pqp = (pqp + diff * (diff * q[t * count + t] + 2.0 * qp[t]))
                / (1.0 + diff)
                / (1.0 + diff);
            for j in 0..count {
                qp[j] = (qp[j] + diff * q[t * count + j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
    p
}

impl Estimator for KernelClassifier {
    fn n_features(&self) -> usize {
        self.support.dense.inputs()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let decisions = self.decisions(rows)?;
        let best = |row: &[f64]| {
            argmax(&if self.break_ties && self.classes.len() > 2 {
                self.ovr_decisions(row)
            } else {
                self.votes(row)
            })
        };
        Ok(decisions
            .iter()
            .map(|row| self.classes.value(best(row)))
            .collect())
    }

    fn classes(&self) -> Option<&Labels> {
        Some(&self.classes)
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        let (a, b) = self.platt.as_ref()?;
        let proba = |decisions: Rows| {
            Rows::new(
                self.classes.len(),
                decisions
                    .iter()
                    .flat_map(|row| self.probabilities(row, (a, b)))
                    .collect(),
            )
        };
        Some(self.decisions(rows).and_then(proba))
    }

    fn decision_function(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        Some(self.decisions(rows).and_then(|decisions| {
            match self.classes.len() {
                2 => Rows::new(
                    1,
                    decisions
                        .as_slice()
                        .iter()
                        .map(|decision| -decision)
                        .collect(),
                ),
                count => Rows::new(
                    count,
                    decisions
                        .iter()
                        .flat_map(|row| self.ovr_decisions(row))
                        .collect(),
                ),
            }
        }))
    }
}
