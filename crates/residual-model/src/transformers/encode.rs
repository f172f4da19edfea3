//! Encoders of categories: one-hot, ordinal, bins. Categories are numbers, because rows are.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form;
use crate::rows::Rows;
use crate::tensors::{Key, Tensors};

/// Index of `value` among the categories; NaN equals NaN.
#[expect(clippy::float_cmp, reason = "a category is met exactly or not at all")]
fn index_of(categories: &[f64], value: f64) -> Option<usize> {
    categories
        .iter()
        .position(|category| *category == value || (category.is_nan() && value.is_nan()))
}

/// One list of numbers for each column.
fn lists(keys: &[Key], tensors: &Tensors, width: usize) -> Result<Vec<Vec<f64>>, ModelError> {
    if keys.len() != width {
        return Err(ModelError::store(format!(
            "an encoder of {} columns is given {width}",
            keys.len()
        )));
    }
    keys.iter()
        .map(|key| tensors.f64s(key).map(<[f64]>::to_vec))
        .collect()
}

fn unknown(row: usize, feature: usize, value: f64) -> ModelError {
    ModelError::Value {
        row,
        feature,
        problem: format!("category {value} was not there when the model was fitted"),
    }
}

/// `OneHotEncoder`.
#[derive(Debug)]
pub(super) struct OneHot {
    categories: Vec<Vec<f64>>,
    dropped: Vec<Option<usize>>,
    ignore_unknown: bool,
    outputs: usize,
}

impl OneHot {
    pub(super) fn new(
        form: &form::OneHot,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let categories = lists(&form.categories, tensors, width)?;
        let dropped = &form.dropped;
        if dropped.len() != categories.len()
            || dropped
                .iter()
                .zip(&categories)
                .any(|(drop, list)| drop.is_some_and(|drop| drop >= list.len()))
        {
            return Err(ModelError::store(
                "the dropped categories are not among the categories",
            ));
        }
        let outputs = categories
            .iter()
            .zip(dropped)
            .map(|(list, drop)| list.len() - usize::from(drop.is_some()))
            .sum();
        Ok(Self {
            categories,
            dropped: dropped.clone(),
            ignore_unknown: form.ignore_unknown,
            outputs,
        })
    }
}

impl Transformer for OneHot {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        let mut output = Rows::zeros(rows.n_rows(), self.outputs);
        for (index, row) in rows.iter().enumerate() {
            let mut start = 0;
            for (feature, (value, list)) in row.iter().zip(&self.categories).enumerate() {
                let drop = self.dropped[feature];
                match index_of(list, *value) {
                    Some(found) if drop == Some(found) => {}
                    Some(found) => {
                        output.row_mut(index)
                            [start + found - usize::from(drop.is_some_and(|drop| drop < found))] =
                            1.0;
                    }
                    None if self.ignore_unknown => {}
                    None => return Err(unknown(index, feature, *value)),
                }
                start += list.len() - usize::from(drop.is_some());
            }
        }
        Ok(output)
    }
}

/// `OrdinalEncoder`, and the grouping of infrequent categories before `OneHotEncoder`.
#[derive(Debug)]
pub(super) struct Ordinal {
    categories: Vec<Vec<f64>>,
    /// The code of each category of each column.
    codes: Vec<Vec<f64>>,
    /// For each column the code of an unknown category; without it one is an error.
    unknown: Option<Vec<f64>>,
    /// The code of the category NaN, where it has one of its own.
    missing: Option<f64>,
}

impl Ordinal {
    pub(super) fn new(
        form: &form::Ordinal,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let categories = lists(&form.categories, tensors, width)?;
        let codes = form
            .codes
            .as_ref()
            .map(|codes| lists(codes, tensors, width))
            .transpose()?;
        let unknown = tensors.optional_vector(form.unknown.as_ref(), width)?;
        let missing = tensors.optional_vector(form.missing.as_ref(), 1)?;
        #[expect(clippy::cast_precision_loss, reason = "an index far below 2^53")]
        let indices = |list: &Vec<f64>| (0..list.len()).map(|index| index as f64).collect();
        let codes = codes.unwrap_or_else(|| categories.iter().map(indices).collect());
        if codes
            .iter()
            .map(Vec::len)
            .ne(categories.iter().map(Vec::len))
        {
            return Err(ModelError::store("the codes do not fit the categories"));
        }
        Ok(Self {
            categories,
            codes,
            unknown,
            missing: missing.map(|values| values[0]),
        })
    }

    fn code(&self, feature: usize, value: f64) -> Option<f64> {
        match (index_of(&self.categories[feature], value), self.missing) {
            (Some(_), Some(missing)) if value.is_nan() => Some(missing),
            (Some(found), _) => Some(self.codes[feature][found]),
            (None, _) => self.unknown.as_ref().map(|unknown| unknown[feature]),
        }
    }
}

impl Transformer for Ordinal {
    fn outputs(&self) -> usize {
        self.categories.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        let mut output = rows.clone();
        for (index, row) in output.iter_mut().enumerate() {
            for (feature, value) in row.iter_mut().enumerate() {
                *value = self
                    .code(feature, *value)
                    .ok_or_else(|| unknown(index, feature, *value))?;
            }
        }
        Ok(output)
    }
}

/// `KBinsDiscretizer` without its one-hot encoding.
#[derive(Debug)]
pub(super) struct Bins {
    edges: Vec<Vec<f64>>,
    /// Whether a value just below an edge counts as on it, as before scikit-learn 1.1.
    digitize: bool,
}

impl Bins {
    pub(super) fn new(
        form: &form::Bins,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let (edges, lengths) = (tensors.f64s(&form.edges)?, tensors.u32s(&form.lengths)?);
        let total = lengths
            .iter()
            .try_fold(0_usize, |sum, len| sum.checked_add(*len as usize));
        if lengths.len() != width || total != Some(edges.len()) {
            return Err(ModelError::store(
                "the edges of the bins do not fit the columns",
            ));
        }
        let mut rest = edges;
        let mut lists = Vec::with_capacity(width);
        for len in lengths {
            let (list, after) = rest.split_at(*len as usize);
            lists.push(list.to_vec());
            rest = after;
        }
        Ok(Self {
            edges: lists,
            digitize: form.digitize,
        })
    }
}

impl Transformer for Bins {
    fn outputs(&self) -> usize {
        self.edges.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let mut output = rows.clone();
        output.map_by_column(&self.edges, |value, edges| {
            let x = if self.digitize {
                value + (1e-8 + 1e-5 * value.abs())
            } else {
                value
            };
            #[expect(clippy::cast_precision_loss, reason = "an index far below 2^53")]
            let bin = edges.partition_point(|edge| *edge <= x) as f64;
            bin
        });
        Ok(output)
    }
}
