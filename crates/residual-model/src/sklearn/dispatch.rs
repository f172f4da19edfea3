//! Which extractor reads which class, and what can be said of the whole model.

use super::fitted::{Extraction, Fitted};
use super::{bayes, boosting, compose, dense, ensemble, linear, supported, trees};
use crate::error::ModelError;
use crate::form::{Form, Link, Proba};
use crate::pickle::{Graph, check_globals};
use crate::store::{Facts, Stored};

/// Reads the model a pickle holds. `sha256` is the file's, in hexadecimal.
pub(crate) fn extract(graph: &Graph<'_>, sha256: String) -> Result<Stored, ModelError> {
    check_globals(graph)?;
    let root = Fitted::root(graph)?;
    let mut extraction = Extraction::new(graph.input_len());
    let form = estimator(&mut extraction, &root)?;
    let feature_names = feature_names(&mut extraction, &root)?;
    let facts = Facts {
        class: root.class.to_string(),
        library_version: root.text("_sklearn_version")?,
        n_features: n_features(&root)
            .ok_or_else(|| root.fail("it does not say how many features it was fitted on"))?,
        feature_names,
        shapes: extraction.tensors.shapes(),
        source_sha256: sha256,
        form,
    };
    Ok(Stored {
        facts,
        tensors: extraction.tensors,
    })
}

/// The form of any estimator that predicts.
pub(super) fn estimator(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    extraction.visit()?;
    match fitted.class.name.as_str() {
        "LinearRegression"
        | "Ridge"
        | "RidgeCV"
        | "Lasso"
        | "LassoCV"
        | "ElasticNet"
        | "ElasticNetCV"
        | "Lars"
        | "LarsCV"
        | "LassoLars"
        | "LassoLarsCV"
        | "LassoLarsIC"
        | "OrthogonalMatchingPursuit"
        | "OrthogonalMatchingPursuitCV"
        | "BayesianRidge"
        | "ARDRegression"
        | "HuberRegressor"
        | "TheilSenRegressor"
        | "QuantileRegressor"
        | "SGDRegressor"
        | "PassiveAggressiveRegressor"
        | "LinearSVR" => linear::regressor(extraction, fitted, Link::Identity),
        "PoissonRegressor" | "GammaRegressor" => linear::regressor(extraction, fitted, Link::Exp),
        "TweedieRegressor" => linear::tweedie(extraction, fitted),
        "RANSACRegressor" => estimator(extraction, &fitted.attribute("estimator_")?),
        "LogisticRegression" | "LogisticRegressionCV" => linear::logistic(extraction, fitted),
        "RidgeClassifier" | "RidgeClassifierCV" => linear::ridge_classifier(extraction, fitted),
        "SGDClassifier" => linear::sgd_classifier(extraction, fitted),
        "Perceptron" | "PassiveAggressiveClassifier" | "LinearSVC" => {
            linear::classifier(extraction, fitted, Proba::None)
        }
        "LinearDiscriminantAnalysis" => linear::discriminant(extraction, fitted),
        _ => composite(extraction, fitted),
    }
}

/// Trees, ensembles and what contains other estimators.
fn composite(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    match fitted.class.name.as_str() {
        "Pipeline" => compose::pipeline(extraction, fitted),
        "TransformedTargetRegressor" => compose::transformed_target(extraction, fitted),
        "GridSearchCV" | "RandomizedSearchCV" | "HalvingGridSearchCV" | "HalvingRandomSearchCV" => {
            estimator(extraction, &fitted.attribute("best_estimator_")?)
        }
        "DecisionTreeRegressor"
        | "DecisionTreeClassifier"
        | "ExtraTreeRegressor"
        | "ExtraTreeClassifier" => trees::tree(extraction, fitted),
        "RandomForestRegressor"
        | "RandomForestClassifier"
        | "ExtraTreesRegressor"
        | "ExtraTreesClassifier" => trees::forest(extraction, fitted),
        "GradientBoostingRegressor" | "GradientBoostingClassifier" => {
            boosting::gradient_boosting(extraction, fitted)
        }
        "HistGradientBoostingRegressor" | "HistGradientBoostingClassifier" => {
            boosting::histogram_boosting(extraction, fitted)
        }
        "IsolationForest" => trees::isolation(extraction, fitted),
        "DummyRegressor" | "DummyClassifier" => trees::dummy(extraction, fitted),
        "MLPRegressor" | "MLPClassifier" => dense::network(extraction, fitted),
        "SVR" | "NuSVR" | "OneClassSVM" => dense::kernel_regressor(extraction, fitted),
        "SVC" | "NuSVC" => dense::kernel_classifier(extraction, fitted),
        "KernelRidge" => dense::kernel_ridge(extraction, fitted),
        "KNeighborsRegressor" | "KNeighborsClassifier" => dense::neighbors(extraction, fitted),
        "VotingRegressor" | "VotingClassifier" => ensemble::voting(extraction, fitted),
        "BaggingRegressor" | "BaggingClassifier" => ensemble::bagging(extraction, fitted),
        "StackingRegressor" | "StackingClassifier" => ensemble::stacking(extraction, fitted),
        "AdaBoostRegressor" => ensemble::median(extraction, fitted),
        "AdaBoostClassifier" => ensemble::ada_boost(extraction, fitted),
        "CalibratedClassifierCV" => ensemble::calibrated(extraction, fitted),
        "OneVsRestClassifier" => ensemble::one_vs_rest(extraction, fitted),
        "IsotonicRegression" => ensemble::isotonic(extraction, fitted).map(Form::Isotonic),
        "GaussianNB" => bayes::gaussian(extraction, fitted),
        "MultinomialNB" | "ComplementNB" | "BernoulliNB" => bayes::discrete(extraction, fitted),
        "QuadraticDiscriminantAnalysis" => bayes::quadratic(extraction, fitted),
        "PLSRegression" => bayes::partial_least_squares(extraction, fitted),
        name if supported::is_step(name) => {
            Err(fitted.unsupported("it changes rows and predicts nothing"))
        }
        _ => Err(fitted.unsupported("no arithmetic for it here")),
    }
}

/// Column names, from the outermost object that knows them.
fn feature_names(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Option<Vec<String>>, ModelError> {
    if let Some(id) = fitted.get("feature_names_in_") {
        return fitted
            .texts_at(extraction, id, "feature_names_in_")
            .map(Some);
    }
    match inner(fitted) {
        Some(inner) => feature_names(extraction, &inner),
        None => Ok(None),
    }
}

/// Number of columns, from the outermost object that knows it.
fn n_features(fitted: &Fitted<'_>) -> Option<usize> {
    if let Ok(count) = fitted.usize("n_features_in_") {
        return Some(count);
    }
    if fitted.class.name == "Pipeline" {
        // A FunctionTransformer knows no columns and changes none, so the next step may say.
        let steps = compose::named(fitted, "steps")
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
    // Generalised linear models before 1.0 leave no other trace.
    match inner(fitted) {
        Some(inner) => n_features(&inner),
        None => fitted.array("coef_").ok()?.shape.last().copied(),
    }
}

/// The object that sees the columns first, where the outer one only hands them on.
fn inner<'g>(fitted: &Fitted<'g>) -> Option<Fitted<'g>> {
    let first = |name: &str| fitted.children(name).ok()?.into_iter().next();
    match fitted.class.name.as_str() {
        "RANSACRegressor" | "SelectFromModel" => fitted.attribute("estimator_").ok(),
        "GridSearchCV" | "RandomizedSearchCV" | "HalvingGridSearchCV" | "HalvingRandomSearchCV" => {
            fitted.attribute("best_estimator_").ok()
        }
        "TransformedTargetRegressor" => fitted.attribute("regressor_").ok(),
        "Pipeline" => compose::named(fitted, "steps")
            .ok()?
            .into_iter()
            .find_map(|(_, step)| step),
        "FeatureUnion" => compose::named(fitted, "transformer_list")
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
