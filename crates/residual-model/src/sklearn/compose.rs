//! What connects transformers and estimators: pipelines, column transformers, unions, transformed targets.

use super::dispatch::{read_estimator, read_step};
use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Form, Part, Step};
use crate::numeric::to_usize;
use crate::pickle::numpy;
use crate::pickle::{Node, NodeId};

/// A pipeline that ends in an estimator.
pub(super) fn pipeline(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let mut parts = fitted.named_children("steps")?;
    let Some((_, Some(last))) = parts.pop() else {
        return Err(fitted.unsupported("its last step is no estimator, so it predicts nothing"));
    };
    let steps = parts
        .iter()
        .filter_map(|(_, part)| part.as_ref())
        .map(|part| read_step(extraction, part))
        .collect::<Result<_, _>>()?;
    Ok(Form::Pipeline(form::Pipeline {
        steps,
        final_estimator: Box::new(read_estimator(extraction, &last)?),
    }))
}

/// A pipeline of transformers that is itself a step.
pub(super) fn chain(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Vec<Step>, ModelError> {
    fitted
        .named_children("steps")?
        .iter()
        .filter_map(|(_, part)| part.as_ref())
        .map(|part| read_step(extraction, part))
        .collect()
}

fn weight(fitted: &Fitted<'_>, label: &str) -> Option<f64> {
    let weights = fitted.get("transformer_weights")?;
    numpy::number(fitted.graph, fitted.graph.get(weights, label)?)
}

/// `FeatureUnion`: every part sees all columns.
pub(super) fn feature_union(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let list = fitted.list("transformer_list")?;
    let mut parts = vec![];
    for (label, part) in fitted.named_children("transformer_list")? {
        // Before 1.1, None meant 'drop' here.
        let is_none = list.iter().any(|pair| match fitted.graph.items(*pair) {
            Some(&[name, step]) => {
                fitted.graph.text(name) == Some(&label)
                    && matches!(fitted.graph.node(step), Node::None)
            }
            _ => false,
        });
        let step = match part {
            Some(part) => read_step(extraction, &part)?,
            None if is_none => continue,
            None => Step::Passthrough {},
        };
        parts.push(Part {
            columns: None,
            step,
            weight: weight(fitted, &label),
        });
    }
    Ok(Step::Columns(form::Columns { parts }))
}

/// `ColumnTransformer`: every part sees its own columns.
pub(super) fn column_transformer(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let width = fitted
        .usize("n_features_in_")
        .or_else(|_| fitted.usize("_n_features"))?;
    // A slice may expand to every column, so the number that the file claims must be paid for first.
    extraction.count_bytes(width.saturating_mul(8))?;
    let names = match fitted
        .get("feature_names_in_")
        .or_else(|| fitted.get("_feature_names_in"))
    {
        Some(id) => fitted.texts_at(extraction, id, "feature_names_in_")?,
        None => vec![],
    };
    let indices = fitted.get("_transformer_to_input_indices");
    let mut parts = vec![];
    for (index, part) in fitted.list("transformers_")?.into_iter().enumerate() {
        let place = format!("transformers_[{index}]");
        let Some(&[label, transformer, columns]) = fitted.graph.items(part) else {
            return Err(fitted.fail(format!("{place} is not a name, a transformer and columns")));
        };
        if fitted.graph.text(transformer) == Some("drop") {
            continue;
        }
        let label = fitted.graph.text(label).unwrap_or_default();
        let columns = indices
            .and_then(|indices| fitted.graph.get(indices, label))
            .unwrap_or(columns);
        let columns = resolve(extraction, fitted, columns, width, &names)?;
        if columns.is_empty() {
            continue;
        }
        let step = match fitted.graph.text(transformer) {
            Some("passthrough") => Step::Passthrough {},
            _ => read_step(extraction, &fitted.child(transformer, &place)?)?,
        };
        parts.push(Part {
            columns: Some(columns),
            step,
            weight: weight(fitted, label),
        });
    }
    Ok(Step::Columns(form::Columns { parts }))
}

/// Column indices from any way to specify columns: an index, a name, a slice, a mask or a list.
fn resolve(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    id: NodeId,
    width: usize,
    names: &[String],
) -> Result<Vec<usize>, ModelError> {
    let graph = fitted.graph;
    let wrong = || {
        fitted.unsupported(format!(
            "columns given as {} are not read",
            graph.describe(id)
        ))
    };
    let by_name = |name: &str| {
        names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| fitted.fail(format!("column '{name}' is not known")))
    };
    if let Some(name) = graph.text(id) {
        return Ok(vec![by_name(name)?]);
    }
    if let Some((class, object)) = graph.call(id) {
        if class.name == "slice" {
            return slice(
                graph.items(object.args).unwrap_or_default(),
                fitted,
                width,
                names,
            )
            .ok_or_else(wrong);
        }
        if class.name == "_RemainderColsList" {
            let data = graph
                .attributes(id)
                .and_then(|pairs| {
                    pairs
                        .iter()
                        .find(|(key, _)| graph.text(*key) == Some("data"))
                })
                .ok_or_else(wrong)?;
            return resolve(extraction, fitted, data.1, width, names);
        }
    }
    if let Some(items) = graph
        .items(id)
        .filter(|items| items.iter().any(|item| numpy::text(graph, *item).is_some()))
    {
        return items
            .iter()
            .map(|item| by_name(&numpy::text(graph, *item).unwrap_or_default()))
            .collect();
    }
    let is_mask = is_mask(fitted, id);
    let (_, values) = fitted
        .numbers_at(extraction, id, "columns")
        .map_err(|_| wrong())?;
    if is_mask {
        return Ok(values
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != 0.0)
            .map(|(column, _)| column)
            .collect());
    }
    values
        .into_iter()
        .map(|value| absolute(value, width))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

/// Whether columns are given as a mask.
fn is_mask(fitted: &Fitted<'_>, id: NodeId) -> bool {
    let graph = fitted.graph;
    graph.items(id).is_some_and(|items| {
        items
            .iter()
            .all(|item| matches!(graph.node(*item), Node::Bool(_)))
            && !items.is_empty()
    }) || fitted
        .array_at(id, "columns")
        .is_ok_and(|array| array.dtype.kind == numpy::Kind::Bool)
}

/// The index of a column; a negative one counts from the end.
fn absolute(value: f64, width: usize) -> Option<usize> {
    if value < 0.0 {
        width.checked_sub(to_usize(-value)?)
    } else {
        to_usize(value)
    }
}

/// Python's slice; one of names includes its end.
fn slice(
    args: &[NodeId],
    fitted: &Fitted<'_>,
    width: usize,
    names: &[String],
) -> Option<Vec<usize>> {
    let &[first, last, stride] = args else {
        return None;
    };
    let graph = fitted.graph;
    let bound = |id: NodeId, default: usize, after: usize| match (graph.node(id), graph.text(id)) {
        (Node::None, _) => Some(default),
        (_, Some(name)) => Some(names.iter().position(|known| known == name)? + after),
        _ => Some(absolute(numpy::number(graph, id)?, width)?.min(width)),
    };
    let stride = if matches!(graph.node(stride), Node::None) {
        1
    } else {
        to_usize(numpy::number(graph, stride)?).filter(|stride| *stride > 0)?
    };
    Some(
        (bound(first, 0, 0)?..bound(last, width, 1)?)
            .step_by(stride)
            .collect(),
    )
}

/// `TransformedTargetRegressor`.
pub(super) fn transformed_target(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let regressor = read_estimator(extraction, &fitted.attribute("regressor_")?)?;
    let target = read_step(extraction, &fitted.attribute("transformer_")?)?;
    Ok(Form::TransformedTarget(form::TransformedTarget {
        regressor: Box::new(regressor),
        transformer: target,
    }))
}
