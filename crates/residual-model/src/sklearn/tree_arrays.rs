//! Puts the node arrays of fitted trees together into one set of arrays.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{BITSET_WORDS, CategoryBitsets, Trees, node_flags};
use crate::pickle::numpy::Array;
use crate::tensors::Data;

/// Most values in a leaf.
const OUTPUTS_MAX: usize = 100_000;

/// Trees being put together, in the layout of [`Trees`].
#[derive(Default)]
pub(super) struct TreeArrays {
    pub(super) sizes: Vec<u32>,
    pub(super) left: Vec<i32>,
    pub(super) right: Vec<i32>,
    pub(super) feature: Vec<i32>,
    pub(super) threshold: Vec<f64>,
    pub(super) flags: Vec<u8>,
    pub(super) values: Vec<f64>,
    pub(super) outputs: usize,
    pub(super) bitset_idx: Vec<i32>,
    pub(super) left_bitsets: Vec<u32>,
}

/// One field of a structured node array.
fn i64_field(fitted: &Fitted<'_>, nodes: &Array<'_>, name: &str) -> Result<Vec<i64>, ModelError> {
    let field = nodes.field(name).and_then(|field| field.i64s());
    field.map_err(|error| fitted.array_error("nodes", error))
}

pub(super) fn f64_field(
    fitted: &Fitted<'_>,
    nodes: &Array<'_>,
    name: &str,
) -> Result<Vec<f64>, ModelError> {
    let field = nodes.field(name).and_then(|field| field.f64s());
    field.map_err(|error| fitted.array_error("nodes", error))
}

/// Narrowed to i32; a value that does not fit becomes one that is refused when the trees are built.
fn narrow(values: impl IntoIterator<Item = i64>) -> impl Iterator<Item = i32> {
    values
        .into_iter()
        .map(|value| i32::try_from(value).unwrap_or(i32::MIN))
}

/// The bit `flag` where a field of a node is not zero.
fn flag(field: i64, flag: u8) -> u8 {
    if field == 0 { 0 } else { flag }
}

impl TreeArrays {
    /// Adds the `tree_` of a fitted decision tree; returns the number of nodes.
    pub(super) fn add(
        &mut self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
        fractions: bool,
    ) -> Result<usize, ModelError> {
        extraction.count_estimator()?;
        let tree = fitted.attribute("tree_")?;
        let nodes = tree.array("nodes")?;
        extraction.count_bytes(nodes.len() * 32)?;
        let (shape, mut values) = tree.numbers(extraction, "values")?;
        let outputs = match *shape.as_slice() {
            [count, 1, outputs] if count == nodes.len() && outputs <= OUTPUTS_MAX => outputs,
            [_, targets, _] if targets > 1 => {
                return Err(fitted.unsupported(format!(
                    "it predicts {targets} targets at once; fit one model a target"
                )));
            }
            _ => {
                return Err(tree.fail(format!(
                    "`values` have shape {shape:?} for {} nodes",
                    nodes.len()
                )));
            }
        };
        if self.sizes.is_empty() {
            self.outputs = outputs;
        } else if self.outputs != outputs {
            return Err(fitted.fail("its trees do not have the same number of classes"));
        }
        if fractions {
            // scikit-learn stored counts until 1.3 and stores fractions since then; here both are probabilities.
            for leaf in values.chunks_exact_mut(outputs.max(1)) {
                let sum: f64 = leaf.iter().sum();
                if sum != 0.0 {
                    for value in leaf {
                        *value /= sum;
                    }
                }
            }
        }
        self.values.extend(values);
        self.left
            .extend(narrow(i64_field(&tree, &nodes, "left_child")?));
        self.right
            .extend(narrow(i64_field(&tree, &nodes, "right_child")?));
        self.feature
            .extend(narrow(i64_field(&tree, &nodes, "feature")?));
        self.threshold
            .extend(f64_field(&tree, &nodes, "threshold")?);
        if nodes.dtype.has_field("missing_go_to_left") {
            self.flags.extend(
                i64_field(&tree, &nodes, "missing_go_to_left")?
                    .into_iter()
                    .map(|left| flag(left, node_flags::MISSING_GO_TO_LEFT)),
            );
        } else {
            self.flags.resize(self.left.len(), 0);
        }
        self.sizes
            .push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        Ok(nodes.len())
    }

    /// Adds one `TreePredictor` of histogram boosting.
    pub(super) fn add_histogram(
        &mut self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
    ) -> Result<(), ModelError> {
        extraction.count_estimator()?;
        let nodes = fitted.array("nodes")?;
        extraction.count_bytes(nodes.len() * 48)?;
        let leaf = i64_field(fitted, &nodes, "is_leaf")?;
        let child = |name: &str| -> Result<Vec<i32>, ModelError> {
            let children = narrow(i64_field(fitted, &nodes, name)?);
            Ok(children
                .zip(&leaf)
                .map(|(child, leaf)| if *leaf == 0 { child } else { -1 })
                .collect())
        };
        self.left.extend(child("left")?);
        self.right.extend(child("right")?);
        self.feature
            .extend(narrow(i64_field(fitted, &nodes, "feature_idx")?));
        self.threshold.extend(f64_field(
            fitted,
            &nodes,
            if nodes.dtype.has_field("num_threshold") {
                "num_threshold"
            } else {
                "threshold"
            },
        )?);
        let missing_left = i64_field(fitted, &nodes, "missing_go_to_left")?;
        let categorical = if nodes.dtype.has_field("is_categorical") {
            i64_field(fitted, &nodes, "is_categorical")?
        } else {
            vec![0; nodes.len()]
        };
        self.flags.extend(
            missing_left
                .iter()
                .zip(&categorical)
                .map(|(left, categorical)| {
                    flag(*left, node_flags::MISSING_GO_TO_LEFT)
                        | flag(*categorical, node_flags::IS_CATEGORICAL)
                }),
        );
        self.values.extend(f64_field(fitted, &nodes, "value")?);
        self.add_bitsets(extraction, fitted, &nodes, &categorical)?;
        self.outputs = 1;
        self.sizes
            .push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Adds the bitsets of one `TreePredictor`, and which of them each of its nodes tests.
    fn add_bitsets(
        &mut self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
        nodes: &Array<'_>,
        categorical: &[i64],
    ) -> Result<(), ModelError> {
        if categorical.iter().all(|categorical| *categorical == 0) {
            self.bitset_idx.resize(self.left.len(), -1);
            return Ok(());
        }
        // The predictor counts its own bitsets from 0; here they follow those of the trees before.
        let base = i64::try_from(self.left_bitsets.len() / BITSET_WORDS).unwrap_or(i64::MAX);
        let indices = i64_field(fitted, nodes, "bitset_idx")?;
        let indices = indices
            .into_iter()
            .zip(categorical)
            .map(|(index, categorical)| match categorical {
                0 => -1,
                _ => base.saturating_add(index),
            });
        self.bitset_idx.extend(narrow(indices));
        let bitsets = fitted.array("raw_left_cat_bitsets")?;
        extraction.count_bytes(bitsets.len() * 4)?;
        let words = bitsets
            .i64s()
            .map_err(|error| fitted.array_error("raw_left_cat_bitsets", error))?;
        self.left_bitsets.extend(
            words
                .into_iter()
                .map(|word| u32::try_from(word).unwrap_or(0)),
        );
        Ok(())
    }

    /// Writes the arrays as tensors.
    pub(super) fn put(
        self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
        f32_inputs: bool,
        allow_nan: bool,
        categories: Option<CategoryBitsets>,
    ) -> Trees {
        let count = vec![self.left.len()];
        let shape = vec![self.left.len(), self.outputs];
        Trees {
            sizes: extraction.put(
                fitted,
                "trees.sizes",
                vec![self.sizes.len()],
                Data::U32(self.sizes),
            ),
            left: extraction.put(fitted, "trees.left", count.clone(), Data::I32(self.left)),
            right: extraction.put(fitted, "trees.right", count.clone(), Data::I32(self.right)),
            feature: extraction.put(
                fitted,
                "trees.feature",
                count.clone(),
                Data::I32(self.feature),
            ),
            threshold: extraction.put(
                fitted,
                "trees.threshold",
                count.clone(),
                Data::F64(self.threshold),
            ),
            flags: extraction.put(fitted, "trees.flags", count, Data::U8(self.flags)),
            values: extraction.put(fitted, "trees.values", shape, Data::F64(self.values)),
            f32_inputs,
            allow_nan,
            categories,
        }
    }
}
