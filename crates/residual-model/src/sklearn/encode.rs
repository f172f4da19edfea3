//! Encoders of categories.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Step};
use crate::numeric::to_usize;
use crate::pickle::numpy;
use crate::pickle::{Node, NodeId};
use crate::tensors::Key;

/// `categories_` as one tensor for each column; text is refused, because rows are numbers.
fn categories(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Vec<Key>, ModelError> {
    let mut keys = vec![];
    for (index, id) in fitted.list("categories_")?.into_iter().enumerate() {
        let name = format!("categories_[{index}]");
        if fitted.array_at(id, &name)?.is_text() {
            return Err(fitted.unsupported(format!(
                "`{name}` are text, and rows are numbers; encode the text before the model"
            )));
        }
        let values = fitted.numbers_at(extraction, id, &name)?.1;
        keys.push(extraction.put_vector(fitted, &name, values));
    }
    Ok(keys)
}

/// Number of categories of each column.
fn sizes(fitted: &Fitted<'_>) -> Result<Vec<usize>, ModelError> {
    fitted
        .list("categories_")?
        .into_iter()
        .map(|id| fitted.array_at(id, "categories_").map(|array| array.len()))
        .collect()
}

/// For each column the codes of its categories, of which infrequent ones share one; `None` for a column without infrequent ones.
fn groups(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Option<Vec<Option<Vec<f64>>>>, ModelError> {
    if !fitted.bool_or("_infrequent_enabled", false) {
        return Ok(None);
    }
    let mut groups = vec![];
    for id in fitted.list("_default_to_infrequent_mappings")? {
        groups.push(match fitted.graph.node(id) {
            Node::None => None,
            _ => Some(
                fitted
                    .numbers_at(extraction, id, "_default_to_infrequent_mappings")?
                    .1,
            ),
        });
    }
    Ok(Some(groups))
}

#[expect(clippy::cast_precision_loss, reason = "an index far below 2^53")]
fn indices(extraction: &mut Extraction, count: usize) -> Result<Vec<f64>, ModelError> {
    extraction.count_bytes(8 * count)?;
    Ok((0..count).map(|index| index as f64).collect())
}

/// `OneHotEncoder`; infrequent categories are first given the same code.
pub(super) fn one_hot(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let categories = categories(extraction, fitted)?;
    let groups = groups(extraction, fitted)?;
    // Versions after 1.1 keep the index after grouping in an attribute of its own; 1.1 has this one only.
    let grouped = groups
        .as_ref()
        .and_then(|_| fitted.get("_drop_idx_after_grouping"));
    let dropped = match grouped.or_else(|| fitted.get("drop_idx_")) {
        None => vec![None; categories.len()],
        Some(id) => dropped(extraction, fitted, id)?,
    };
    let handle = fitted.optional_text("handle_unknown").unwrap_or_default();
    let Some(groups) = groups else {
        return Ok(Step::OneHot(form::OneHot {
            categories,
            dropped,
            ignore_unknown: handle != "error",
        }));
    };
    let (mut codes, mut unknown, mut columns) = (vec![], vec![], vec![]);
    for (index, (group, size)) in groups.into_iter().zip(sizes(fitted)?).enumerate() {
        let grouped = group.is_some();
        let group = match group {
            Some(group) => group,
            None => indices(extraction, size)?,
        };
        let last = group.iter().copied().fold(0.0, f64::max);
        // The infrequent categories share the last code; -1 is no category at all.
        unknown.push(if grouped && handle != "ignore" {
            last
        } else {
            -1.0
        });
        let count = to_usize(last)
            .filter(|last| *last < size.max(1))
            .map_or(0, |last| last + 1);
        let values = indices(extraction, count)?;
        columns.push(extraction.put_vector(fitted, &format!("groups[{index}]"), values));
        codes.push(extraction.put_vector(fitted, &format!("codes[{index}]"), group));
    }
    let unknown = if handle == "error" {
        None
    } else {
        Some(extraction.put_vector(fitted, "unknown", unknown))
    };
    let grouping = Step::Ordinal(form::Ordinal {
        categories,
        codes: Some(codes),
        unknown,
        missing: None,
    });
    let one_hot = Step::OneHot(form::OneHot {
        categories: columns,
        dropped,
        ignore_unknown: true,
    });
    Ok(Step::Chain(form::Chain {
        steps: vec![grouping, one_hot],
    }))
}

/// `drop_idx_`: integers, or objects that are an integer or `None`.
fn dropped(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    id: NodeId,
) -> Result<Vec<Option<usize>>, ModelError> {
    let wrong = || fitted.fail("the dropped categories are not indices");
    let array = fitted.array_at(id, "drop_idx_")?;
    if let Ok(ids) = array.objects() {
        let index = |id: NodeId| match fitted.graph.node(id) {
            Node::None => Some(None),
            _ => numpy::number(fitted.graph, id).and_then(to_usize).map(Some),
        };
        return ids
            .into_iter()
            .map(index)
            .collect::<Option<_>>()
            .ok_or_else(wrong);
    }
    let indices = fitted.numbers_at(extraction, id, "drop_idx_")?.1;
    indices
        .into_iter()
        .map(|index| to_usize(index).map(Some))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

/// `OrdinalEncoder`.
pub(super) fn ordinal(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let categories = categories(extraction, fitted)?;
    let unknown = match fitted.optional_text("handle_unknown").as_deref() {
        Some("use_encoded_value") => {
            let value = fitted.f64("unknown_value")?;
            Some(extraction.put_vector(fitted, "unknown_value", vec![value; categories.len()]))
        }
        _ => None,
    };
    let codes = match groups(extraction, fitted)? {
        None => None,
        Some(groups) => {
            let mut codes = vec![];
            for (index, (group, size)) in groups.into_iter().zip(sizes(fitted)?).enumerate() {
                let group = match group {
                    Some(group) => group,
                    None => indices(extraction, size)?,
                };
                codes.push(extraction.put_vector(fitted, &format!("codes[{index}]"), group));
            }
            Some(codes)
        }
    };
    let missing = fitted.f64("encoded_missing_value").unwrap_or(f64::NAN);
    let missing = Some(extraction.put_vector(fitted, "encoded_missing_value", vec![missing]));
    Ok(Step::Ordinal(form::Ordinal {
        categories,
        codes,
        unknown,
        missing,
    }))
}
