//! Nearest neighbours.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Form, Metric};
use crate::pickle::numpy;

/// `KNeighborsRegressor` and `KNeighborsClassifier`; the search tree in the pickle is not needed.
pub(super) fn neighbors(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let weights_by_distance = match fitted
        .get("weights")
        .and_then(|id| numpy::text(fitted.graph, id))
        .as_deref()
    {
        Some("uniform") | None
            if fitted.get("weights").is_none() || fitted.optional_text("weights").is_some() =>
        {
            false
        }
        Some("distance") => true,
        _ => return Err(fitted.unsupported("its weights are a Python function")),
    };
    let parameters = fitted.get("effective_metric_params_");
    let p = parameters
        .and_then(|id| fitted.graph.get(id, "p"))
        .and_then(|id| numpy::number(fitted.graph, id));
    if parameters
        .and_then(|id| fitted.graph.get(id, "w"))
        .is_some_and(|id| fitted.array_at(id, "w").is_ok())
    {
        return Err(fitted.unsupported("a weighted metric is not read"));
    }
    let metric = match fitted.optional_text("effective_metric_").as_deref() {
        Some("euclidean" | "l2") => Metric::Euclidean {},
        Some("manhattan" | "l1" | "cityblock") => Metric::Manhattan {},
        Some("chebyshev") => Metric::Chebyshev {},
        Some("minkowski") => Metric::Minkowski {
            p: p.filter(|p| p.is_finite() && *p > 0.0).unwrap_or(2.0),
        },
        other => {
            return Err(fitted.unsupported(format!(
                "metric {} is not read",
                other.unwrap_or("of Python code")
            )));
        }
    };
    let classes = if fitted.class.name.ends_with("Classifier") {
        Some(fitted.labels(extraction, "classes_")?)
    } else {
        None
    };
    let targets = fitted
        .vector(extraction, "_y")
        .map_err(|_| fitted.multi_output())?;
    Ok(Form::Neighbors(form::Neighbors {
        points: fitted.put_matrix(extraction, "_fit_X")?,
        targets: extraction.put_vector(fitted, "_y", targets),
        count: fitted.usize("n_neighbors")?,
        metric,
        weights_by_distance,
        classes,
    }))
}
