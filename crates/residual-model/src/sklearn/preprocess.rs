//! Scalers, imputers, projections and other transformers of columns.

use super::dispatch::read_step;
use super::fitted::{Extraction, Fitted, Version};
use crate::error::ModelError;
use crate::form::{self, Function, Step};
use crate::numeric::to_usize;
use crate::pickle::numpy;
use crate::pickle::{Graph, NodeId};
use crate::tensors::Data;

pub(super) fn min_max(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let clip = if fitted.bool_or("clip", false) {
        match fitted.vector(extraction, "feature_range")?.as_slice() {
            &[low, high] if low.is_finite() && high.is_finite() => Some((low, high)),
            _ => return Err(fitted.fail("`feature_range` is not two numbers")),
        }
    } else {
        None
    };
    Ok(Step::MinMax(form::MinMax {
        scale: fitted.put_vector(extraction, "scale_")?,
        offset: fitted.put_vector(extraction, "min_")?,
        clip,
    }))
}

/// `PolynomialFeatures`: products of columns by rising degree, each degree in the order of Python's `combinations`.
pub(super) fn polynomial(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let width = fitted
        .usize("n_features_in_")
        .or_else(|_| fitted.usize("n_input_features_"))?;
    let (low, high) = match (fitted.usize("_min_degree"), fitted.usize("_max_degree")) {
        (Ok(low), Ok(high)) => (low, high),
        _ => (0, fitted.usize("degree")?),
    };
    let only = fitted.bool_or("interaction_only", false);
    let (mut columns, mut lengths): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
    if fitted.bool_or("include_bias", true) {
        lengths.push(0);
    }
    for degree in low.max(1)..=high {
        let Some(mut product) = first_product(width, degree, only) else {
            break;
        };
        loop {
            extraction.count_bytes(4 + 4 * degree)?;
            columns.extend(
                product
                    .iter()
                    .map(|column| u32::try_from(*column).unwrap_or(u32::MAX)),
            );
            lengths.push(u32::try_from(degree).unwrap_or(u32::MAX));
            if !next_product(&mut product, width, only) {
                break;
            }
        }
    }
    let shape = (vec![columns.len()], vec![lengths.len()]);
    Ok(Step::Polynomial(form::Polynomial {
        columns: extraction.put(fitted, "columns", shape.0, Data::U32(columns)),
        lengths: extraction.put(fitted, "lengths", shape.1, Data::U32(lengths)),
    }))
}

fn first_product(width: usize, degree: usize, only: bool) -> Option<Vec<usize>> {
    match only {
        _ if width == 0 || degree > 64 => None,
        true => (degree <= width).then(|| (0..degree).collect()),
        false => Some(vec![0; degree]),
    }
}

/// The next combination in lexicographic order, without (`only`) or with repetition.
fn next_product(product: &mut [usize], width: usize, only: bool) -> bool {
    let degree = product.len();
    let last = |place: usize| {
        if only {
            width - degree + place
        } else {
            width - 1
        }
    };
    let Some(place) = (0..degree)
        .rev()
        .find(|&place| product[place] < last(place))
    else {
        return false;
    };
    let start = product[place] + 1;
    for (step, column) in product[place..].iter_mut().enumerate() {
        *column = if only { start + step } else { start };
    }
    true
}

pub(super) fn power(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Step, ModelError> {
    let box_cox = match fitted.text("method")?.as_str() {
        "box-cox" => true,
        "yeo-johnson" => false,
        other => return Err(fitted.unsupported(format!("method '{other}' is not known"))),
    };
    let lambdas = fitted.put_vector(extraction, "lambdas_")?;
    let mut steps = vec![Step::Power(form::Power { lambdas, box_cox })];
    if fitted.bool_or("standardize", true) {
        steps.push(read_step(extraction, &fitted.attribute("_scaler")?)?);
    }
    Ok(Step::Chain(form::Chain { steps }))
}

pub(super) fn bins(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Step, ModelError> {
    let (mut inner, mut lengths, mut counts) = (vec![], vec![], vec![]);
    for (index, id) in fitted.list("bin_edges_")?.into_iter().enumerate() {
        let edges = fitted
            .numbers_at(extraction, id, &format!("bin_edges_[{index}]"))?
            .1;
        if edges.len() < 2
            || edges.windows(2).any(|pair| {
                pair[0]
                    .partial_cmp(&pair[1])
                    .is_none_or(std::cmp::Ordering::is_gt)
            })
        {
            return Err(fitted.fail(format!("`bin_edges_[{index}]` do not rise")));
        }
        inner.extend_from_slice(&edges[1..edges.len() - 1]);
        lengths.push(u32::try_from(edges.len() - 2).unwrap_or(u32::MAX));
        counts.push(edges.len() - 1);
    }
    let lengths = extraction.put(
        fitted,
        "bin_counts",
        vec![lengths.len()],
        Data::U32(lengths),
    );
    let edges = extraction.put_vector(fitted, "bin_edges_", inner);
    let bins = Step::Bins(form::Bins {
        edges,
        lengths,
        digitize: fitted.version < Version(1, 1),
    });
    if fitted.optional_text("encode").as_deref() == Some("ordinal") {
        return Ok(bins);
    }
    let mut categories = vec![];
    for (index, count) in counts.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a count of bins")]
        let values = (0..*count).map(|bin| bin as f64).collect();
        extraction.count_bytes(8 * count)?;
        categories.push(extraction.put_vector(fitted, &format!("bins[{index}]"), values));
    }
    let one_hot = Step::OneHot(form::OneHot {
        dropped: vec![None; categories.len()],
        categories,
        ignore_unknown: true,
    });
    Ok(Step::Chain(form::Chain {
        steps: vec![bins, one_hot],
    }))
}

pub(super) fn pca(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Step, ModelError> {
    let scale = if fitted.bool_or("whiten", false) {
        let variance = fitted.vector(extraction, "explained_variance_")?;
        let floor = |value: f64| {
            if fitted.version >= Version(1, 5) {
                value.max(f64::EPSILON)
            } else {
                value
            }
        };
        let deviations = variance
            .into_iter()
            .map(|value| floor(value.sqrt()))
            .collect();
        Some(extraction.put_vector(fitted, "explained_deviation", deviations))
    } else {
        None
    };
    let mean = fitted.put_optional(extraction, "mean_")?;
    Ok(Step::Project(form::Project {
        mean,
        components: fitted.put_matrix(extraction, "components_")?,
        scale,
    }))
}

pub(super) fn imputer(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    let Some(id) = fitted.get("missing_values") else {
        return Err(fitted.unsupported("`missing_values=None` needs object arrays; use NaN"));
    };
    let missing = numpy::number(fitted.graph, id)
        .ok_or_else(|| fitted.unsupported("`missing_values` is not a number"))?;
    let id = fitted.require("statistics_")?;
    let statistics = fitted.numbers_at(extraction, id, "statistics_").map_err(|_| {
        fitted.unsupported("it fills in text, and rows are numbers; impute only number columns, or encode the text before")
    })?;
    let statistics = statistics.1;
    let keep_all = fitted.optional_text("strategy").as_deref() == Some("constant")
        || fitted.bool_or("keep_empty_features", false);
    let kept = (0..statistics.len())
        .filter(|&column| keep_all || !statistics[column].is_nan())
        .collect();
    let indicators = match fitted.get("indicator_") {
        Some(_) if fitted.bool_or("add_indicator", false) => {
            let features = fitted
                .attribute("indicator_")?
                .vector(extraction, "features_")?;
            features
                .into_iter()
                .map(to_usize)
                .collect::<Option<_>>()
                .ok_or_else(|| fitted.fail("`features_` are not columns"))?
        }
        _ => vec![],
    };
    let statistics = extraction.put_vector(fitted, "statistics_", statistics);
    Ok(Step::Impute(form::Impute {
        statistics,
        missing_values: Some(missing).filter(|missing| !missing.is_nan()),
        kept,
        indicators,
    }))
}

pub(super) fn function(fitted: &Fitted<'_>) -> Result<Step, ModelError> {
    for name in ["kw_args", "inv_kw_args"] {
        if fitted
            .get(name)
            .is_some_and(|id| fitted.graph.pairs(id).is_none_or(|pairs| !pairs.is_empty()))
        {
            return Err(fitted.unsupported(format!("`{name}` are not read")));
        }
    }
    let read = |name: &str| {
        let Some(id) = fitted.get(name) else {
            return Ok(None);
        };
        if is_validation(fitted.graph, id) {
            return Ok(None);
        }
        ufunc(fitted.graph, id).map(Some).ok_or_else(|| {
            fitted.unsupported(format!(
                "`{name}` is {}: only numpy's own elementwise functions are known",
                fitted.graph.describe(id)
            ))
        })
    };
    Ok(Step::Function(form::Elementwise {
        function: read("func")?,
        inverse: read("inverse_func")?,
    }))
}

/// Whether it is `partial(check_array, ...)`, which histogram boosting applies to its numbers and which changes nothing.
fn is_validation(graph: &Graph<'_>, id: NodeId) -> bool {
    let function = graph
        .call(id)
        .filter(|(class, _)| class.is("functools", "partial"))
        .and_then(|(_, object)| graph.items(object.args));
    let function = function.and_then(|args| graph.global(*args.first()?));
    function.is_some_and(|function| function.is("sklearn.utils.validation", "check_array"))
}

/// A function of numpy, named directly or by `_ufunc_reconstruct`.
fn ufunc(graph: &Graph<'_>, id: NodeId) -> Option<Function> {
    let name = match graph.global(id) {
        Some(global)
            if matches!(
                global.module.as_str(),
                "numpy" | "numpy.core._multiarray_umath"
            ) =>
        {
            global.name.as_str()
        }
        Some(_) => return None,
        None => {
            let (global, object) = graph.call(id)?;
            let args = graph.items(object.args)?;
            (global.name == "_ufunc_reconstruct").then_some(())?;
            graph.text(*args.get(1)?)?
        }
    };
    Some(match name {
        "absolute" | "abs" | "fabs" => Function::Absolute,
        "cbrt" => Function::Cbrt,
        "cos" => Function::Cos,
        "exp" => Function::Exp,
        "exp2" => Function::Exp2,
        "expm1" => Function::Expm1,
        "log" => Function::Log,
        "log10" => Function::Log10,
        "log1p" => Function::Log1p,
        "log2" => Function::Log2,
        "negative" => Function::Negative,
        "reciprocal" => Function::Reciprocal,
        "sin" => Function::Sin,
        "sqrt" => Function::Sqrt,
        "square" => Function::Square,
        "tanh" => Function::Tanh,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(width: usize, degree: usize, only: bool) -> Vec<Vec<usize>> {
        let mut products = vec![];
        let Some(mut product) = first_product(width, degree, only) else {
            return products;
        };
        loop {
            products.push(product.clone());
            if !next_product(&mut product, width, only) {
                return products;
            }
        }
    }

    #[test]
    fn products_come_in_the_order_of_pythons_combinations() {
        assert_eq!(
            all(3, 2, false),
            [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
        );
        assert_eq!(
            all(4, 3, true),
            [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]
        );
        assert!(all(2, 3, true).is_empty());
    }
}
