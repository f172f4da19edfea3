//! The columns that a model was fitted on: how many, and their names.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;

/// Column names, from the outermost object that knows them.
pub(super) fn feature_names(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Option<Vec<String>>, ModelError> {
    if let Some(id) = fitted.get("feature_names_in_") {
        return fitted
            .texts_at(extraction, id, "feature_names_in_")
            .map(Some);
    }
    match first_to_see_columns(fitted) {
        Some(inner) => feature_names(extraction, &inner),
        None => Ok(None),
    }
}

/// Number of columns, from the outermost object that knows it.
pub(super) fn n_features(fitted: &Fitted<'_>) -> Option<usize> {
    if let Ok(count) = fitted.usize("n_features_in_") {
        return Some(count);
    }
    if fitted.class.name == "Pipeline" {
        // A FunctionTransformer does not know its columns and changes none, so the next step is asked.
        let steps = fitted
            .named_children("steps")
            .ok()?
            .into_iter()
            .filter_map(|(_, step)| step);
        let mut rest = steps.skip_while(|step| {
            step.class.name == "FunctionTransformer" && step.get("n_features_in_").is_none()
        });
        return n_features(&rest.next()?);
    }
    if fitted.class.name == "IsotonicRegression" {
        return Some(1);
    }
    // Generalized linear models before 1.0 do not know it either, but have one coefficient for each.
    match first_to_see_columns(fitted) {
        Some(inner) => n_features(&inner),
        None => fitted.array("coef_").ok()?.shape.last().copied(),
    }
}

/// The object that is the first to see the columns, where the outer one only passes them on.
fn first_to_see_columns<'g>(fitted: &Fitted<'g>) -> Option<Fitted<'g>> {
    let first = |name: &str| fitted.children(name).ok()?.into_iter().next();
    match fitted.class.name.as_str() {
        "RANSACRegressor" | "SelectFromModel" => fitted.attribute("estimator_").ok(),
        "GridSearchCV" | "RandomizedSearchCV" | "HalvingGridSearchCV" | "HalvingRandomSearchCV" => {
            fitted.attribute("best_estimator_").ok()
        }
        "TransformedTargetRegressor" => fitted.attribute("regressor_").ok(),
        "Pipeline" => fitted
            .named_children("steps")
            .ok()?
            .into_iter()
            .find_map(|(_, step)| step),
        "FeatureUnion" => fitted
            .named_children("transformer_list")
            .ok()?
            .into_iter()
            .find_map(|(_, part)| part),
        "CalibratedClassifierCV" => {
            let part = first("calibrated_classifiers_")?;
            part.attribute("estimator")
                .or_else(|_| part.attribute("base_estimator"))
                .ok()
        }
        "IsotonicRegression" => None,
        _ => first("estimators_"),
    }
}
