#!/usr/bin/env python3
"""Fit small models with the installed scikit-learn, and write them with what they predict.

Needed only in development. Run once for each version of scikit-learn, in a temporary environment with pandas and joblib:

    python model/fixtures.py OUT            # the committed set: one file format for each model, large ones compressed
    python model/fixtures.py OUT --wide     # every format of every model
    python model/fixtures.py OUT --live     # what tests/python/live.rs asks for: a pickle and a joblib file of every model

OUT/<version>/ holds the models. OUT/<version>.json holds rows, and says for each model what it must predict for them. `cargo test -p residual-model` reads crates/residual-model/tests/fixtures; set RESIDUAL_FIXTURES to read another OUT.
"""

import json
import pathlib
import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import sklearn

warnings.filterwarnings("ignore")

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
FORMATS = ["p4", "p5", "p2", "joblib", "p3", "zlib", "p0", "gzip", "p4", "bz2", "xz", "lzma"]


def data():
    """Training and test rows. Few values are exact in 32 bits, so that a wrong cast to float32 changes predictions."""
    random = np.random.RandomState(20240607)
    x = random.standard_normal((150, 5)) * [1.0, 3.0, 0.5, 10.0, 1.0] + [0.0, 1.0, 0.1, -5.0, 2.0]
    y = x @ [1.5, -0.7, 3.0, 0.2, 0.0] + np.sin(x[:, 0] * 2) * 2 + random.standard_normal(150) * 0.5 + 10
    test = np.vstack([random.standard_normal((14, 5)) * [2.0, 5.0, 1.0, 20.0, 2.0] + [0.0, 1.0, 0.1, -5.0, 2.0], x[:8]])
    missing, missing_test = x.copy(), test.copy()
    missing[random.uniform(size=x.shape) < 0.15] = np.nan
    missing_test[random.uniform(size=test.shape) < 0.2] = np.nan
    codes = random.randint(0, 4, size=(150, 2)).astype(float)
    mixed = np.column_stack([codes[:, 0] * 10, x[:, :2], codes[:, 1], x[:, 2]])
    codes_test = random.randint(0, 4, size=(22, 2)).astype(float)
    mixed_test = np.column_stack([codes_test[:, 0] * 10, test[:, :2], codes_test[:, 1], test[:, 2]])
    y_mixed = y + np.array([0, 5, -3, 8])[codes[:, 1].astype(int)]
    three = np.digitize(y, np.quantile(y, [0.33, 0.66]))
    return {
        "x": (x, test),
        "missing": (missing, missing_test),
        "mixed": (mixed, mixed_test),
        "one": (x[:, :1], test[:, :1]),
        "positive": (np.abs(x) + 0.1, np.abs(test) + 0.1),
        "named": (pd.DataFrame(x, columns=list("abcde")), pd.DataFrame(test, columns=list("abcde"))),
        "named_mixed": (pd.DataFrame(mixed, columns=["code", "a", "b", "kind", "c"]), pd.DataFrame(mixed_test, columns=["code", "a", "b", "kind", "c"])),
    }, {
        "y": y,
        "y_mixed": y_mixed,
        "y_positive": np.abs(y) + 0.1,
        "y_column": y.reshape(-1, 1),
        "three": three,
        "two": (y > np.median(y)).astype(int),
        "bool": y > np.median(y),
        "text": np.array(["low", "mid", "high"], dtype=object)[three],
        "text_fixed": np.array(["no", "yes"])[(y > np.median(y)).astype(int)],
        "far": three * 7 - 3,
    }


def since(major, minor):
    return VERSION >= (major, minor)


def linear_models():
    from sklearn import linear_model as lm, svm
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    for name in ["LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "BayesianRidge", "HuberRegressor",
                 "ARDRegression", "Lars", "LarsCV", "LassoLars", "LassoLarsIC", "OrthogonalMatchingPursuit"]:
        yield name, getattr(lm, name)(), "x", "y"
    yield "LinearRegression_named", lm.LinearRegression(), "named", "y"
    yield "LinearRegression_no_intercept", lm.LinearRegression(fit_intercept=False), "x", "y"
    yield "LinearRegression_column", lm.LinearRegression(), "x", "y_column"
    yield "LinearRegression_f32", Float32(lm.LinearRegression()), "x", "y"
    yield "TheilSenRegressor", lm.TheilSenRegressor(random_state=0, max_subpopulation=200), "x", "y"
    yield "SGDRegressor", lm.SGDRegressor(random_state=0, eta0=1e-4), "x", "y"
    if not since(1, 10):
        yield "PassiveAggressiveRegressor", lm.PassiveAggressiveRegressor(random_state=0), "x", "y"
        yield "PassiveAggressiveClassifier", lm.PassiveAggressiveClassifier(random_state=0), "x", "three"
    yield "RANSACRegressor", lm.RANSACRegressor(random_state=0), "x", "y"
    yield "LinearSVR", svm.LinearSVR(random_state=0), "x", "y"
    if since(1, 0):
        yield "QuantileRegressor", lm.QuantileRegressor(alpha=0.01, solver="highs") if since(1, 1) else lm.QuantileRegressor(alpha=0.01), "x", "y"
    yield "PoissonRegressor", lm.PoissonRegressor(), "x", "y_positive"
    yield "GammaRegressor", lm.GammaRegressor(), "x", "y_positive"
    yield "TweedieRegressor", lm.TweedieRegressor(power=1.5), "x", "y_positive"
    yield "TweedieRegressor_identity", lm.TweedieRegressor(power=0), "x", "y"
    yield "LogisticRegression", lm.LogisticRegression(), "x", "three"
    yield "LogisticRegression_two", lm.LogisticRegression(), "x", "two"
    yield "LogisticRegression_text", lm.LogisticRegression(), "x", "text"
    yield "LogisticRegression_text_two", lm.LogisticRegression(), "x", "text_fixed"
    yield "LogisticRegression_bool", lm.LogisticRegression(), "x", "bool"
    yield "LogisticRegression_liblinear", lm.LogisticRegression(solver="liblinear"), "x", "two"
    yield "LogisticRegressionCV", lm.LogisticRegressionCV(Cs=3, cv=3, max_iter=2000), "x", "two"
    if not since(1, 7):
        yield "LogisticRegression_ovr", lm.LogisticRegression(multi_class="ovr"), "x", "far"
        yield "LogisticRegression_multinomial_two", lm.LogisticRegression(multi_class="multinomial"), "x", "two"
        yield "LogisticRegression_liblinear_three", lm.LogisticRegression(solver="liblinear"), "x", "three"
    if since(1, 2):
        yield "LogisticRegression_newton_cholesky", lm.LogisticRegression(solver="newton-cholesky"), "x", "three" if not since(1, 6) else "two"
    yield "RidgeClassifier", lm.RidgeClassifier(), "x", "three"
    yield "RidgeClassifierCV_two", lm.RidgeClassifierCV(), "x", "two"
    yield "SGDClassifier", lm.SGDClassifier(random_state=0), "x", "three"
    yield "SGDClassifier_log", lm.SGDClassifier(loss="log_loss" if since(1, 1) else "log", random_state=0, alpha=0.1), "x", "three"
    yield "SGDClassifier_log_two", lm.SGDClassifier(loss="log_loss" if since(1, 1) else "log", random_state=0, alpha=0.1), "x", "text_fixed"
    yield "SGDClassifier_huber", lm.SGDClassifier(loss="modified_huber", random_state=0), "x", "three"
    yield "SGDClassifier_huber_two", lm.SGDClassifier(loss="modified_huber", random_state=0), "x", "two"
    yield "Perceptron", lm.Perceptron(random_state=0), "x", "three"
    yield "LinearSVC", svm.LinearSVC(random_state=0), "x", "three"
    yield "LinearSVC_two", svm.LinearSVC(random_state=0), "x", "text_fixed"
    yield "LinearDiscriminantAnalysis", LinearDiscriminantAnalysis(), "x", "three"
    yield "LinearDiscriminantAnalysis_two", LinearDiscriminantAnalysis(), "x", "two"


def preprocessing_models():
    from sklearn import preprocessing as pp
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold, f_regression
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union

    before_ridge = {
        "StandardScaler": pp.StandardScaler(),
        "StandardScaler_no_mean": pp.StandardScaler(with_mean=False),
        "StandardScaler_no_std": pp.StandardScaler(with_std=False),
        "MinMaxScaler": pp.MinMaxScaler(),
        "MinMaxScaler_clip": pp.MinMaxScaler(feature_range=(-1, 2), clip=True),
        "MaxAbsScaler": pp.MaxAbsScaler(),
        "RobustScaler": pp.RobustScaler(),
        "RobustScaler_no_center": pp.RobustScaler(with_centering=False, quantile_range=(10, 90)),
        "Normalizer": pp.Normalizer(),
        "Normalizer_l1": pp.Normalizer(norm="l1"),
        "Normalizer_max": pp.Normalizer(norm="max"),
        "Binarizer": pp.Binarizer(threshold=0.3),
        "PolynomialFeatures": pp.PolynomialFeatures(),
        "PolynomialFeatures_interaction": pp.PolynomialFeatures(degree=3, interaction_only=True, include_bias=False),
        "PowerTransformer": pp.PowerTransformer(),
        "PowerTransformer_no_standardize": pp.PowerTransformer(standardize=False),
        "QuantileTransformer": pp.QuantileTransformer(n_quantiles=30),
        "QuantileTransformer_normal": pp.QuantileTransformer(n_quantiles=30, output_distribution="normal"),
        "KBinsDiscretizer": pp.KBinsDiscretizer(n_bins=4, encode="onehot-dense"),
        "KBinsDiscretizer_ordinal": pp.KBinsDiscretizer(n_bins=3, encode="ordinal", strategy="uniform"),
        "PCA": PCA(n_components=3),
        "PCA_whiten": PCA(n_components=4, whiten=True),
        "TruncatedSVD": TruncatedSVD(n_components=3, random_state=0),
        "SelectKBest": SelectKBest(f_regression, k=3),
        "SelectPercentile": SelectPercentile(f_regression, percentile=60),
        "VarianceThreshold": VarianceThreshold(0.5),
        "SelectFromModel": SelectFromModel(Lasso(alpha=0.3)),
        "RFE": RFE(Ridge(), n_features_to_select=2),
        "FeatureUnion": FeatureUnion([("pca", PCA(2)), ("scaled", pp.StandardScaler()), ("gone", "drop")], transformer_weights={"pca": 2.5}),
        "make_union": make_union(pp.StandardScaler(), make_pipeline(pp.MinMaxScaler(), pp.PolynomialFeatures())),
        "FunctionTransformer_identity": pp.FunctionTransformer(),
    }
    for name, step in before_ridge.items():
        yield "Pipeline_" + name, Pipeline([("step", step), ("ridge", Ridge(alpha=0.1))]), "x", "y"
    yield "Pipeline_PowerTransformer_box_cox", make_pipeline(pp.PowerTransformer(method="box-cox"), Ridge()), "positive", "y"
    yield "Pipeline_FunctionTransformer", make_pipeline(pp.FunctionTransformer(np.log1p), Ridge()), "positive", "y"
    yield "Pipeline_passthrough", Pipeline([("a", "passthrough"), ("b", pp.StandardScaler()), ("c", "passthrough"), ("d", LinearRegression())]), "x", "y"
    yield "Pipeline_nested", make_pipeline(make_pipeline(pp.StandardScaler(), PCA(4)), make_pipeline(pp.MinMaxScaler(), LogisticRegression())), "x", "text"
    yield "Pipeline_named", make_pipeline(pp.StandardScaler(), LinearRegression()), "named", "y"

    for strategy in ["mean", "median", "most_frequent"]:
        yield f"SimpleImputer_{strategy}", make_pipeline(SimpleImputer(strategy=strategy), Ridge()), "missing", "y"
    yield "SimpleImputer_constant", make_pipeline(SimpleImputer(strategy="constant", fill_value=-1.5), Ridge()), "missing", "y"
    yield "SimpleImputer_indicator", make_pipeline(SimpleImputer(add_indicator=True), Ridge()), "missing", "y"
    yield "SimpleImputer_value", make_pipeline(SimpleImputer(missing_values=0), Ridge()), "mixed", "y"
    yield "StandardScaler_missing", make_pipeline(pp.StandardScaler(), SimpleImputer(), Ridge()), "missing", "y"

    def encode(encoder, rest="passthrough"):
        return make_pipeline(ColumnTransformer([("codes", encoder, [0, 3]), ("numbers", pp.StandardScaler(), slice(1, 3))], remainder=rest), Ridge())

    yield "OneHotEncoder", encode(pp.OneHotEncoder()), "mixed", "y_mixed"
    yield "OneHotEncoder_drop", encode(pp.OneHotEncoder(drop="first"), "drop"), "mixed", "y_mixed"
    yield "OneHotEncoder_ignore", encode(pp.OneHotEncoder(categories=[[0.0, 10.0, 20.0], [0.0, 1.0, 3.0]], handle_unknown="ignore")), "mixed", "y_mixed"
    yield "OneHotEncoder_if_binary", encode(pp.OneHotEncoder(drop="if_binary")), "mixed", "y_mixed"
    yield "OrdinalEncoder", encode(pp.OrdinalEncoder()), "mixed", "y_mixed"
    yield "OrdinalEncoder_unknown", encode(pp.OrdinalEncoder(categories=[[0.0, 10.0, 20.0], [0.0, 1.0, 3.0]], handle_unknown="use_encoded_value", unknown_value=-1)), "mixed", "y_mixed"
    if since(1, 1):
        yield "OneHotEncoder_infrequent", encode(pp.OneHotEncoder(min_frequency=36, handle_unknown="infrequent_if_exist")), "mixed", "y_mixed"
        yield "OneHotEncoder_max_categories", encode(pp.OneHotEncoder(max_categories=2, drop="first", categories=[[0.0, 10.0, 20.0], [0.0, 1.0, 3.0]], handle_unknown="ignore")), "mixed", "y_mixed"
    if since(1, 3):
        yield "OrdinalEncoder_infrequent", encode(pp.OrdinalEncoder(max_categories=3)), "mixed", "y_mixed"
    yield "ColumnTransformer_names", make_pipeline(ColumnTransformer([("kind", pp.OneHotEncoder(), ["kind", "code"]), ("number", pp.StandardScaler(), ["c", "a"])], remainder="passthrough"), Ridge()), "named_mixed", "y_mixed"
    yield "ColumnTransformer_mask", make_pipeline(ColumnTransformer([("m", pp.MinMaxScaler(), [True, False, False, True, True]), ("p", "passthrough", [1])], transformer_weights={"m": 3.0}), Ridge()), "mixed", "y_mixed"
    yield "ColumnTransformer_negative", make_pipeline(ColumnTransformer([("m", pp.MinMaxScaler(), [-1, -2]), ("empty", pp.StandardScaler(), [])], remainder=pp.RobustScaler()), Ridge()), "mixed", "y_mixed"

    yield "TransformedTarget_func", TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), "x", "y_positive"
    yield "TransformedTarget_scaler", TransformedTargetRegressor(Ridge(), transformer=pp.StandardScaler()), "x", "y"
    yield "TransformedTarget_quantile", TransformedTargetRegressor(Ridge(), transformer=pp.QuantileTransformer(n_quantiles=50, output_distribution="normal")), "x", "y"
    yield "TransformedTarget_power", TransformedTargetRegressor(Ridge(), transformer=pp.PowerTransformer()), "x", "y"
    yield "TransformedTarget_default", TransformedTargetRegressor(), "x", "y"
    yield "GridSearchCV", GridSearchCV(make_pipeline(pp.StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=3), "x", "y"
    yield "RandomizedSearchCV", RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1.0, 3.0]}, n_iter=2, cv=3, random_state=0), "named", "y"


def tree_models():
    from sklearn import ensemble as en, tree
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    small = {"random_state": 0, "max_depth": 4}
    forest = {"n_estimators": 5, **small}
    yield "DecisionTreeRegressor", tree.DecisionTreeRegressor(**small), "x", "y"
    yield "DecisionTreeRegressor_deep", tree.DecisionTreeRegressor(random_state=0), "x", "y"
    yield "DecisionTreeRegressor_leaf", tree.DecisionTreeRegressor(max_leaf_nodes=9, random_state=0), "x", "y"
    yield "DecisionTreeClassifier", tree.DecisionTreeClassifier(**small), "x", "three"
    yield "DecisionTreeClassifier_text", tree.DecisionTreeClassifier(class_weight="balanced", **small), "x", "text"
    yield "ExtraTreeRegressor", tree.ExtraTreeRegressor(**small), "x", "y"
    yield "ExtraTreeClassifier", tree.ExtraTreeClassifier(**small), "x", "far"
    yield "RandomForestRegressor", en.RandomForestRegressor(**forest), "x", "y"
    yield "RandomForestClassifier", en.RandomForestClassifier(**forest), "x", "three"
    yield "RandomForestClassifier_two", en.RandomForestClassifier(**forest), "x", "text_fixed"
    yield "ExtraTreesRegressor", en.ExtraTreesRegressor(**forest), "x", "y"
    yield "ExtraTreesClassifier", en.ExtraTreesClassifier(bootstrap=True, **forest), "x", "text"
    yield "Pipeline_forest", make_pipeline(StandardScaler(), en.RandomForestRegressor(**forest)), "named", "y"
    if since(1, 3):
        yield "DecisionTreeRegressor_missing", tree.DecisionTreeRegressor(**small), "missing", "y"
        yield "DecisionTreeClassifier_missing", tree.DecisionTreeClassifier(**small), "missing", "three"
    if since(1, 4):
        yield "RandomForestRegressor_missing", en.RandomForestRegressor(**forest), "missing", "y"
    if since(1, 6):
        yield "ExtraTreesRegressor_missing", en.ExtraTreesRegressor(**forest), "missing", "y"
    boost = {"n_estimators": 7, "max_depth": 2, "random_state": 0}
    yield "GradientBoostingRegressor", en.GradientBoostingRegressor(**boost), "x", "y"
    yield "GradientBoostingRegressor_huber", en.GradientBoostingRegressor(loss="huber", subsample=0.7, **boost), "x", "y"
    yield "GradientBoostingRegressor_quantile", en.GradientBoostingRegressor(loss="quantile", alpha=0.8, **boost), "x", "y"
    yield "GradientBoostingRegressor_zero", en.GradientBoostingRegressor(init="zero", **boost), "x", "y"
    yield "GradientBoostingRegressor_init", en.GradientBoostingRegressor(init=tree.DecisionTreeRegressor(**small), **boost), "x", "y"
    yield "GradientBoostingClassifier", en.GradientBoostingClassifier(**boost), "x", "three"
    yield "GradientBoostingClassifier_two", en.GradientBoostingClassifier(**boost), "x", "text_fixed"
    yield "GradientBoostingClassifier_exponential", en.GradientBoostingClassifier(loss="exponential", **boost), "x", "two"
    yield "GradientBoostingClassifier_init", en.GradientBoostingClassifier(init=tree.DecisionTreeClassifier(**small), **boost), "x", "three"
    yield "GradientBoostingClassifier_zero", en.GradientBoostingClassifier(init="zero", **boost), "x", "two"
    if not since(1, 0):
        from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    hist = {"max_iter": 5, "max_leaf_nodes": 7, "random_state": 0, "early_stopping": False}
    yield "HistGradientBoostingRegressor", HistGradientBoostingRegressor(**hist), "x", "y"
    yield "HistGradientBoostingRegressor_missing", HistGradientBoostingRegressor(**hist), "missing", "y"
    yield "HistGradientBoostingRegressor_poisson", HistGradientBoostingRegressor(loss="poisson", **hist), "x", "y_positive"
    yield "HistGradientBoostingRegressor_absolute", HistGradientBoostingRegressor(loss="absolute_error" if since(1, 0) else "least_absolute_deviation", **hist), "x", "y"
    if since(1, 3):
        yield "HistGradientBoostingRegressor_gamma", HistGradientBoostingRegressor(loss="gamma", **hist), "x", "y_positive"
    yield "HistGradientBoostingClassifier", HistGradientBoostingClassifier(**hist), "x", "text"
    yield "HistGradientBoostingClassifier_two", HistGradientBoostingClassifier(**hist), "missing", "two"
    yield "HistGradientBoostingRegressor_categories", HistGradientBoostingRegressor(categorical_features=[0, 3], min_samples_leaf=5, **hist), "mixed", "y_mixed"
    yield "HistGradientBoostingClassifier_categories", HistGradientBoostingClassifier(categorical_features=[3], min_samples_leaf=5, **hist), "mixed", "three"
    yield "IsolationForest", en.IsolationForest(n_estimators=4, max_samples=24, random_state=0), "x", None
    yield "IsolationForest_contamination", en.IsolationForest(n_estimators=4, max_samples=24, contamination=0.1, max_features=3, random_state=0), "x", None


def other_models():
    from sklearn import ensemble as en, svm
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.isotonic import IsotonicRegression
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR, NuSVC, NuSVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    for activation in ["relu", "tanh", "logistic", "identity"]:
        yield f"MLPRegressor_{activation}", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8, 4), activation=activation, max_iter=60, random_state=0)), "x", "y"
    yield "MLPRegressor_lbfgs", MLPRegressor(hidden_layer_sizes=(7,), solver="lbfgs", max_iter=60, random_state=0), "x", "y"
    yield "MLPClassifier", MLPClassifier((8,), max_iter=60, random_state=0), "x", "three"
    yield "MLPClassifier_two", MLPClassifier((8,), max_iter=60, random_state=0), "x", "text_fixed"
    if since(1, 7):
        yield "MLPRegressor_poisson", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(6,), loss="poisson", max_iter=60, random_state=0)), "x", "y_positive"

    for kernel in ["rbf", "linear", "poly", "sigmoid"]:
        yield f"SVR_{kernel}", make_pipeline(StandardScaler(), SVR(kernel=kernel, coef0=0.5)), "x", "y"
    yield "NuSVR", NuSVR(gamma=0.05), "x", "y"
    yield "SVC", SVC(), "x", "three"
    yield "SVC_two", SVC(C=3.0), "x", "text_fixed"
    yield "SVC_linear", SVC(kernel="linear"), "x", "text"
    yield "SVC_poly_two", SVC(kernel="poly", degree=2), "x", "two"
    yield "SVC_ovo", SVC(decision_function_shape="ovo"), "x", "far"
    yield "SVC_break_ties", SVC(break_ties=True), "x", "three"
    yield "NuSVC", NuSVC(), "x", "three"
    yield "SVC_probability_two", SVC(probability=True, random_state=0), "x", "two"
    yield "SVC_probability", SVC(probability=True, random_state=0), "x", "three"
    yield "OneClassSVM", svm.OneClassSVM(nu=0.2), "x", None

    yield "KNeighborsRegressor", KNeighborsRegressor(), "x", "y"
    yield "KNeighborsRegressor_distance", KNeighborsRegressor(weights="distance", n_neighbors=4), "x", "y"
    yield "KNeighborsRegressor_manhattan", KNeighborsRegressor(p=1, algorithm="ball_tree"), "x", "y"
    yield "KNeighborsRegressor_minkowski", KNeighborsRegressor(p=3, algorithm="brute"), "x", "y"
    yield "KNeighborsRegressor_chebyshev", KNeighborsRegressor(metric="chebyshev"), "x", "y"
    yield "KNeighborsClassifier", KNeighborsClassifier(), "x", "three"
    yield "KNeighborsClassifier_text", KNeighborsClassifier(weights="distance"), "x", "text"

    trees = {"max_depth": 3, "random_state": 0}
    yield "VotingRegressor", en.VotingRegressor([("a", LinearRegression()), ("b", DecisionTreeRegressor(**trees))], weights=[1, 2]), "x", "y"
    yield "VotingRegressor_drop", en.VotingRegressor([("a", LinearRegression()), ("b", "drop"), ("c", Ridge())], weights=[1, 5, 2]), "x", "y"
    yield "VotingClassifier_hard", en.VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(**trees)), ("c", GaussianNB())]), "x", "text"
    yield "VotingClassifier_soft", en.VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(**trees))], voting="soft", weights=[2, 1]), "x", "far"
    yield "StackingRegressor", en.StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(**trees))], final_estimator=LinearRegression(), cv=3), "x", "y"
    yield "StackingRegressor_passthrough", en.StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(**trees))], passthrough=True, cv=3), "x", "y"
    yield "StackingClassifier", en.StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(**trees)), ("c", RidgeClassifier())], cv=3), "x", "text"
    yield "StackingClassifier_two", en.StackingClassifier([("a", LogisticRegression()), ("b", svm.LinearSVC(random_state=0))], cv=3), "x", "two"
    yield "BaggingRegressor", en.BaggingRegressor(DecisionTreeRegressor(max_depth=3), n_estimators=5, random_state=0), "x", "y"
    yield "BaggingRegressor_features", en.BaggingRegressor(Ridge(), n_estimators=4, max_features=3, random_state=0), "x", "y"
    yield "BaggingClassifier", en.BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=5, max_features=4, random_state=0), "x", "text"
    yield "BaggingClassifier_vote", en.BaggingClassifier(svm.LinearSVC(random_state=0), n_estimators=5, random_state=0), "x", "three"
    yield "AdaBoostRegressor", en.AdaBoostRegressor(n_estimators=6, random_state=0), "x", "y"
    yield "AdaBoostClassifier", en.AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=6, random_state=0), "x", "text"
    yield "AdaBoostClassifier_two", en.AdaBoostClassifier(n_estimators=6, random_state=0), "x", "two"
    if not since(1, 8):
        yield "AdaBoostClassifier_samme", en.AdaBoostClassifier(algorithm="SAMME", n_estimators=6, random_state=0), "x", "three"
    yield "CalibratedClassifierCV", CalibratedClassifierCV(svm.LinearSVC(random_state=0), cv=3), "x", "three"
    yield "CalibratedClassifierCV_two", CalibratedClassifierCV(svm.LinearSVC(random_state=0), cv=3), "x", "text_fixed"
    yield "CalibratedClassifierCV_isotonic", CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3), "x", "three"
    yield "OneVsRestClassifier", OneVsRestClassifier(LogisticRegression()), "x", "three"

    yield "GaussianNB", GaussianNB(), "x", "three"
    yield "BernoulliNB", BernoulliNB(binarize=0.5), "x", "text"
    yield "MultinomialNB", MultinomialNB(), "positive", "three"
    yield "ComplementNB", ComplementNB(), "positive", "three"
    yield "QuadraticDiscriminantAnalysis", QuadraticDiscriminantAnalysis(), "x", "three"
    yield "QuadraticDiscriminantAnalysis_two", QuadraticDiscriminantAnalysis(reg_param=0.1), "x", "two"
    yield "KernelRidge", KernelRidge(kernel="rbf", gamma=0.1), "x", "y"
    yield "KernelRidge_poly", KernelRidge(kernel="poly", degree=2, gamma=0.1, coef0=2), "x", "y"
    yield "KernelRidge_linear", KernelRidge(), "x", "y"
    yield "PLSRegression", PLSRegression(n_components=2), "x", "y"
    yield "DummyRegressor", make_pipeline(StandardScaler(), DummyRegressor()), "x", "y"
    yield "DummyClassifier", make_pipeline(StandardScaler(), DummyClassifier(strategy="prior")), "x", "text"
    yield "IsotonicRegression", IsotonicRegression(out_of_bounds="clip"), "one", "y"


def refused_models(inputs, targets):
    """Fitted models that cannot be read, each with the class that the refusal names and words of its reason."""
    from sklearn import cluster, ensemble as en, preprocessing as pp
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_selection import SelectFromModel
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.impute import KNNImputer, SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.dummy import DummyRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x, _ = inputs["x"]
    y, three = targets["y"], targets["three"]
    both, labels = np.column_stack([y, -y]), np.column_stack([three, targets["two"]])
    text = np.array([["a"], ["b"], ["c"]], dtype=object)[three]
    several = {
        "LinearRegression": LinearRegression(), "Ridge": Ridge(), "MLPRegressor": MLPRegressor(hidden_layer_sizes=(4,), max_iter=5), "KNeighborsRegressor": KNeighborsRegressor(),
        "DecisionTreeRegressor": DecisionTreeRegressor(max_depth=2), "ExtraTreeRegressor": en.ExtraTreesRegressor(2, max_depth=2), "PLSRegression": PLSRegression(1), "KernelRidge": KernelRidge(), "DummyRegressor": DummyRegressor(),
    }
    for name, model in several.items():
        yield name, "targets", model.fit(x, both)
    yield "DecisionTreeClassifier", "targets", DecisionTreeClassifier(max_depth=2).fit(x, labels)
    yield "RandomForestClassifier", "targets", en.RandomForestClassifier(2, max_depth=2).fit(x, labels)
    yield "KNeighborsClassifier", "targets", KNeighborsClassifier().fit(x, labels)
    yield "MLPClassifier", "labels", MLPClassifier((4,), max_iter=5).fit(x, labels > 0)
    yield "MultiOutputRegressor", "no arithmetic", MultiOutputRegressor(Ridge()).fit(x, both)
    yield "OneHotEncoder", "text", make_pipeline(pp.OneHotEncoder(sparse_output=False), Ridge()).fit(text, y)
    yield "OrdinalEncoder", "text", make_pipeline(pp.OrdinalEncoder(), Ridge()).fit(text, y)
    yield "SimpleImputer", "text", make_pipeline(SimpleImputer(strategy="most_frequent"), pp.OrdinalEncoder(), Ridge()).fit(text, y)
    yield "KNNImputer", "no arithmetic", make_pipeline(KNNImputer(), Ridge()).fit(x, y)
    yield "SelectFromModel", "coefficients", make_pipeline(SelectFromModel(en.RandomForestRegressor(2, max_depth=2)), Ridge()).fit(x, y)
    yield "KMeans", "no arithmetic", cluster.KMeans(2, n_init=1).fit(x)
    yield "GaussianProcessRegressor", "", GaussianProcessRegressor().fit(x, y)
    yield "StandardScaler", "predicts nothing", make_pipeline(pp.MinMaxScaler(), pp.StandardScaler()).fit(x)
    yield "LogisticRegression", "densify", LogisticRegression(penalty="l1", solver="liblinear").fit(x, targets["two"]).sparsify()
    yield "SVR", "precomputed", SVR(kernel="precomputed").fit(np.eye(20), y[:20])
    yield "KNeighborsRegressor", "metric", KNeighborsRegressor(metric="cosine").fit(x, y)
    yield "KNeighborsRegressor", "Python function", KNeighborsRegressor(weights=np.sqrt).fit(x, y)
    yield "FunctionTransformer", "elementwise", make_pipeline(pp.FunctionTransformer(np.nan_to_num), Ridge()).fit(x, y)
    if since(1, 8):
        yield "_CalibratedClassifier", "temperature", CalibratedClassifierCV(GaussianNB(), method="temperature", cv=3).fit(x, three)


class Float32:
    """Marks a model that is fitted on float32."""

    def __init__(self, model):
        self.model = model


def to_list(values):
    return json.loads(json.dumps(np.asarray(values, dtype=float).tolist()).replace("NaN", "null"))


def expected(model, rows, classifier):
    entry = {}
    y_pred = np.asarray(model.predict(rows))
    if classifier and y_pred.dtype.kind in "OU":
        classes = [str(value) for value in model.classes_]
        entry["classes"] = classes
        y_pred = np.array([classes.index(str(value)) for value in y_pred])
    entry["y_pred"] = to_list(y_pred.reshape(-1))
    if classifier and hasattr(model, "predict_proba"):
        entry["proba"] = to_list(model.predict_proba(rows))
    return entry


def dump(model, path, form):
    if form.startswith("p"):
        path = path.with_suffix(f".{form}.pkl")
        path.write_bytes(pickle.dumps(model, protocol=int(form[1:])))
    else:
        path = path.with_suffix(f".{form}.joblib")
        joblib.dump(model, path, compress=0 if form == "joblib" else (form, 3))
    return path.name


def main():
    out, wide, live = pathlib.Path(sys.argv[1]), "--wide" in sys.argv, "--live" in sys.argv
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    inputs, targets = data()
    folder = out / sklearn.__version__
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    entries = []
    models = [*linear_models(), *preprocessing_models(), *tree_models(), *other_models()]
    for index, (name, model, x_name, y_name) in enumerate(models):
        if only not in name:
            continue
        rows, test = inputs[x_name]
        if isinstance(model, Float32):
            model, rows = model.model, rows.astype(np.float32)
        try:
            model.fit(rows, targets[y_name]) if y_name else model.fit(rows)
            entry = {"name": name, "rows": x_name, **expected(model, test, hasattr(model, "classes_"))}
        except Exception as error:  # this version does not have this combination
            print(f"{sklearn.__version__} {name}: {type(error).__name__} {error}", file=sys.stderr)
            continue
        forms = sorted(set(FORMATS)) if wide else ["p5", "joblib"] if live else [FORMATS[index % len(FORMATS)]]
        if not (wide or live) and len(pickle.dumps(model, protocol=5)) > 4_000:
            forms = [["zlib", "gzip", "bz2", "xz", "lzma"][index % 5]]  # the repository stays small
        entry["files"] = [dump(model, folder / name, form) for form in forms]
        entries.append(entry)
    refused = []
    for index, (name, words, model) in enumerate(refused_models(inputs, targets) if live else []):
        refused.append({"class": name, "words": words, "file": dump(model, folder / f"refused_{index}_{name}", "p5")})
    used = {entry["rows"] for entry in entries}
    document = {
        "scikit_learn": sklearn.__version__,
        "numpy": np.__version__,
        "joblib": joblib.__version__,
        "rows": {name: to_list(test) for name, (_, test) in inputs.items() if name in used},
        "models": entries,
        **({"refused": refused} if live else {}),
    }
    (out / f"{sklearn.__version__}.json").write_text(json.dumps(document).replace("}, {\"name\"", "},\n{\"name\"") + "\n")
    print(sklearn.__version__, len(entries), "models")


if __name__ == "__main__":
    main()
