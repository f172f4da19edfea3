//! Which extractor reads which class.
//!
//! Estimators and transformers contain each other, so extractors call back into this file; the depth and the number of what is read
//! are bounded in `fitted`.

use super::fitted::{Extraction, Fitted};
use super::{
    bayes, boosting, compose, dummy, encode, ensemble, features, kernel, linear, neighbors,
    network, preprocess, select, supported, trees,
};
use crate::error::ModelError;
use crate::form::{self, Form, Link, Norm, Proba, Step};
use crate::pickle::{Graph, check_globals};
use crate::store::{Metadata, StoredModel};

/// Reads the model in a pickle. `sha256` is that of the file, in hexadecimal.
pub(crate) fn extract(graph: &Graph<'_>, sha256: String) -> Result<StoredModel, ModelError> {
    check_globals(graph)?;
    let root = Fitted::root(graph)?;
    let mut extraction = Extraction::new(graph.input_len());
    let form = read_estimator(&mut extraction, &root)?;
    let feature_names = features::feature_names(&mut extraction, &root)?;
    let metadata = Metadata {
        class: root.class.to_string(),
        library_version: root.text("_sklearn_version")?,
        n_features: features::n_features(&root)
            .ok_or_else(|| root.fail("it does not say how many features it was fitted on"))?,
        feature_names,
        shapes: extraction.tensors.shapes(),
        source_sha256: sha256,
        form,
    };
    Ok(StoredModel {
        metadata,
        tensors: extraction.tensors,
    })
}

/// The form of any estimator that predicts.
pub(super) fn read_estimator(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    extraction.count_estimator()?;
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
        "RANSACRegressor" => read_estimator(extraction, &fitted.attribute("estimator_")?),
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

/// The form of any estimator that is not linear.
fn composite(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    match fitted.class.name.as_str() {
        "Pipeline" => compose::pipeline(extraction, fitted),
        "TransformedTargetRegressor" => compose::transformed_target(extraction, fitted),
        "GridSearchCV" | "RandomizedSearchCV" | "HalvingGridSearchCV" | "HalvingRandomSearchCV" => {
            read_estimator(extraction, &fitted.attribute("best_estimator_")?)
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
        "DummyRegressor" | "DummyClassifier" => dummy::dummy(extraction, fitted),
        "MLPRegressor" | "MLPClassifier" => network::network(extraction, fitted),
        "SVR" | "NuSVR" | "OneClassSVM" => kernel::regressor(extraction, fitted),
        "SVC" | "NuSVC" => kernel::classifier(extraction, fitted),
        "KernelRidge" => kernel::ridge(extraction, fitted),
        "KNeighborsRegressor" | "KNeighborsClassifier" => neighbors::neighbors(extraction, fitted),
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

/// The form of any transformer.
pub(super) fn read_step(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Step, ModelError> {
    extraction.count_estimator()?;
    let optional = |extraction: &mut Extraction, wanted: bool, name: &str| {
        if wanted {
            fitted.put_optional(extraction, name)
        } else {
            Ok(None)
        }
    };
    Ok(match fitted.class.name.as_str() {
        "StandardScaler" => Step::Scale(form::Scale {
            center: optional(extraction, fitted.bool_or("with_mean", true), "mean_")?,
            scale: optional(extraction, fitted.bool_or("with_std", true), "scale_")?,
        }),
        "RobustScaler" => Step::Scale(form::Scale {
            center: optional(
                extraction,
                fitted.bool_or("with_centering", true),
                "center_",
            )?,
            scale: optional(extraction, fitted.bool_or("with_scaling", true), "scale_")?,
        }),
        "MaxAbsScaler" => Step::Scale(form::Scale {
            center: None,
            scale: Some(fitted.put_vector(extraction, "scale_")?),
        }),
        "MinMaxScaler" => preprocess::min_max(extraction, fitted)?,
        "Normalizer" => Step::Normalize(form::Normalize {
            norm: match fitted.text("norm")?.as_str() {
                "l1" => Norm::L1,
                "l2" => Norm::L2,
                "max" => Norm::Max,
                other => return Err(fitted.unsupported(format!("norm '{other}' is not known"))),
            },
        }),
        "Binarizer" => Step::Binarize(form::Binarize {
            threshold: fitted.f64("threshold")?,
        }),
        "PolynomialFeatures" => preprocess::polynomial(extraction, fitted)?,
        "PowerTransformer" => preprocess::power(extraction, fitted)?,
        "QuantileTransformer" => Step::Quantile(form::Quantile {
            quantiles: fitted.put_matrix(extraction, "quantiles_")?,
            references: fitted.put_vector(extraction, "references_")?,
            normal: fitted.optional_text("output_distribution").as_deref() == Some("normal"),
        }),
        "KBinsDiscretizer" => preprocess::bins(extraction, fitted)?,
        "PCA" | "IncrementalPCA" => preprocess::pca(extraction, fitted)?,
        "TruncatedSVD" => Step::Project(form::Project {
            mean: None,
            components: fitted.put_matrix(extraction, "components_")?,
            scale: None,
        }),
        "SimpleImputer" => preprocess::imputer(extraction, fitted)?,
        "OneHotEncoder" => encode::one_hot(extraction, fitted)?,
        "OrdinalEncoder" => encode::ordinal(extraction, fitted)?,
        "FunctionTransformer" => preprocess::function(fitted)?,
        "Pipeline" => Step::Chain(form::Chain {
            steps: compose::chain(extraction, fitted)?,
        }),
        "ColumnTransformer" => compose::column_transformer(extraction, fitted)?,
        "FeatureUnion" => compose::feature_union(extraction, fitted)?,
        _ => Step::Select(form::Select {
            columns: select::columns(extraction, fitted)?,
        }),
    })
}
