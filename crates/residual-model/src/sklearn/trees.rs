//! Decision trees, random forests, extra trees and isolation forests.

use super::fitted::{Extraction, Fitted, Version};
use super::tree_arrays::{TreeArrays, f64_field};
use crate::error::ModelError;
use crate::form::{self, Form};
use crate::numeric::to_usize;

/// Whether the class in this version takes NaN as a missing value.
fn takes_missing(fitted: &Fitted<'_>, tree: &Fitted<'_>) -> bool {
    let since = match fitted.class.name.as_str() {
        name if name.starts_with("Decision") => Version(1, 3),
        name if name.starts_with("Random") => Version(1, 4),
        _ => Version(1, 6),
    };
    let splitter = tree.optional_text("splitter");
    let by_splitter = fitted.version >= Version(1, 6) || splitter.as_deref() == Some("best");
    let criterion = tree.optional_text("criterion").unwrap_or_default();
    fitted.version >= since && by_splitter && criterion != "absolute_error"
}

/// A single decision tree.
pub(super) fn tree(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    forest_of(extraction, fitted, std::slice::from_ref(fitted))
}

/// A forest.
pub(super) fn forest(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    let trees = fitted.children("estimators_")?;
    if trees.is_empty() {
        return Err(fitted.fail("`estimators_` is empty"));
    }
    forest_of(extraction, fitted, &trees)
}

fn forest_of(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    trees: &[Fitted<'_>],
) -> Result<Form, ModelError> {
    let classes = fitted.classes(extraction)?;
    let mut tree_arrays = TreeArrays::default();
    for tree in trees {
        tree_arrays.add(
            extraction,
            tree,
            classes.is_some() && fitted.version < Version(1, 4),
        )?;
    }
    let missing = takes_missing(fitted, &trees[0]);
    Ok(Form::Forest(form::Forest {
        trees: tree_arrays.put(extraction, fitted, true, missing, None),
        classes,
    }))
}

/// `IsolationForest`: leaves get path lengths as values, and the features of a tree become columns of the input.
pub(super) fn isolation(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let trees = fitted.children("estimators_")?;
    let features = fitted.list("estimators_features_")?;
    if trees.is_empty() || features.len() != trees.len() {
        return Err(fitted.fail("`estimators_` and `estimators_features_` do not fit"));
    }
    let mut tree_arrays = TreeArrays::default();
    for (index, (tree, features)) in trees.iter().zip(features).enumerate() {
        let before = tree_arrays.left.len();
        let size = tree_arrays.add(extraction, tree, false)?;
        let columns = fitted
            .numbers_at(extraction, features, "estimators_features_")?
            .1;
        for feature in &mut tree_arrays.feature[before..] {
            let column = usize::try_from(*feature)
                .ok()
                .and_then(|feature| columns.get(feature))
                .copied();
            *feature = column
                .and_then(to_usize)
                .and_then(|column| i32::try_from(column).ok())
                .unwrap_or(-1);
        }
        let lengths = path_lengths(
            extraction,
            fitted,
            tree,
            index,
            &tree_arrays.left[before..],
            &tree_arrays.right[before..],
        )?;
        if tree_arrays.outputs != 1 || lengths.len() != size {
            return Err(tree.fail("its leaves are not of one value"));
        }
        tree_arrays.values.truncate(before);
        tree_arrays.values.extend(lengths);
    }
    let samples = fitted
        .f64("_max_samples")
        .or_else(|_| fitted.f64("max_samples_"))?;
    #[expect(clippy::cast_precision_loss, reason = "a number of trees")]
    let normalizer = average_path_length(samples) * trees.len() as f64;
    let offset = fitted.put_vector(extraction, "offset_")?;
    let missing = fitted.version >= Version(1, 6);
    let trees = tree_arrays.put(extraction, fitted, true, missing, None);
    Ok(Form::IsolationForest(form::IsolationForest {
        trees,
        normalizer: extraction.put_vector(fitted, "normaliser", vec![normalizer]),
        offset,
    }))
}

/// For every node its depth, plus the mean depth of the tree that its samples would still need if it is a leaf.
fn path_lengths(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    tree: &Fitted<'_>,
    index: usize,
    left: &[i32],
    right: &[i32],
) -> Result<Vec<f64>, ModelError> {
    let mut depths = vec![1.0; left.len()];
    for node in 0..left.len() {
        // A child that does not follow its parent is refused when the trees are built.
        for child in [left[node], right[node]]
            .into_iter()
            .filter_map(|child| usize::try_from(child).ok())
        {
            if child > node && child < depths.len() {
                depths[child] = depths[node] + 1.0;
            }
        }
    }
    let average = if let Some(id) = fitted.get("_average_path_length_per_tree") {
        let (_, lists) = fitted.list_at(id, "_average_path_length_per_tree")?;
        let id = lists
            .get(index)
            .copied()
            .ok_or_else(|| fitted.fail("`_average_path_length_per_tree` is too short"))?;
        fitted
            .numbers_at(extraction, id, "_average_path_length_per_tree")?
            .1
    } else {
        let tree = tree.attribute("tree_")?;
        let nodes = tree.array("nodes")?;
        f64_field(&tree, &nodes, "n_node_samples")?
            .into_iter()
            .map(average_path_length)
            .collect()
    };
    Ok(depths
        .iter()
        .zip(average)
        .map(|(depth, average)| depth + average - 1.0)
        .collect())
}

/// Mean depth of an unsuccessful search in a binary search tree of `count` keys.
fn average_path_length(count: f64) -> f64 {
    /// The Euler-Mascheroni constant.
    const EULER: f64 = 0.577_215_664_901_532_9;
    if count <= 1.0 {
        0.0
    } else if count <= 2.0 {
        1.0
    } else {
        2.0 * ((count - 1.0).ln() + EULER) - 2.0 * (count - 1.0) / count
    }
}
