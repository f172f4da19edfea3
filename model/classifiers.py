#!/usr/bin/env python3
"""Fit three small classifiers, and write each with a table of rows and with what scikit-learn predicts for them.

Needed only in development, in any temporary environment with scikit-learn:

    python model/classifiers.py            # from the repository root; writes tests/fixtures/classify

- iris: labels in text, probabilities;
- cancer: labels 0 and 1, missing values in the rows, probabilities;
- digits: ten classes, no probabilities.

Each is fitted on few rows, so that it makes mistakes. `metrics.json` has random labels with the scores that sklearn.metrics computes.
"""

import csv
import json
import pathlib
import pickle

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "classify"


def figures(y_true, y_pred, classes, probabilities):
    """The scores of sklearn.metrics. F1 is that of class 1 where the labels are 0 and 1, otherwise the mean over the classes."""
    is_binary = set(classes) == {0, 1}
    found = {
        "accuracy": accuracy_score(y_true, y_pred),
        "average": "binary" if is_binary else "macro",
        "f1": f1_score(y_true, y_pred, average="binary" if is_binary else "macro", zero_division=0),
    }
    if probabilities is not None:
        found["log_loss"] = log_loss(y_true, probabilities, labels=list(classes))
    return found


def write_rows(name, header, x, target):
    def cell(value):
        if np.isnan(value):
            return ""
        return repr(int(value)) if value == int(value) else repr(float(value))

    with (OUT / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "target"])
        writer.writerows([*map(cell, row), label] for row, label in zip(x, target))


def write(name, model, header, x, target):
    predicted = model.predict(x)
    probabilities = model.predict_proba(x) if hasattr(model, "predict_proba") else None
    (OUT / f"{name}.pkl").write_bytes(pickle.dumps(model, protocol=4))
    write_rows(name, header, x, target)
    expected = {
        "sklearn": sklearn.__version__,
        "labels": model.classes_.tolist(),
        "y_pred": predicted.tolist(),
        "confusion": confusion_matrix(target, predicted, labels=model.classes_).tolist(),
        **figures(target, predicted, model.classes_.tolist(), probabilities),
    }
    (OUT / f"{name}.json").write_text(json.dumps(expected) + "\n")
    print(name, {key: expected[key] for key in ("accuracy", "f1", "log_loss") if key in expected})


def write_models():
    iris = load_iris()
    species = iris.target_names[iris.target]
    few = np.arange(0, 150, 11)
    header = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    write("iris", LogisticRegression(C=0.2, max_iter=1000).fit(iris.data[few], species[few]), header, iris.data, species)

    cancer = load_breast_cancer()
    x, y = cancer.data[:200, :6].copy(), cancer.target[:200]
    x[np.random.RandomState(3).uniform(size=x.shape) < 0.05] = np.nan
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(x[:40], y[:40])
    write("cancer", model, [f"f{i}" for i in range(6)], x, y)

    digits = load_digits()
    x, y = digits.data[:240], digits.target[:240]
    write("digits", RidgeClassifier().fit(digits.data[240:400], digits.target[240:400]), [f"p{i}" for i in range(64)], x, y)


def random_labels():
    random = np.random.RandomState(11)
    cases = [("two", [0, 1], 57), ("three", [0, 1, 2], 200), ("signs", [-1, 1], 80), ("far", [-3, 4, 11], 90), ("many", list(range(50)), 900)]
    for name, classes, n in cases:
        y_true = random.choice(classes, n)
        wrong = random.uniform(size=n) < 0.3
        y_pred = np.where(wrong, random.choice(classes, n), y_true)
        probabilities = random.dirichlet(np.ones(len(classes)), n)
        yield name, classes, y_true, y_pred, probabilities
    # A class that never occurs, one that is never predicted, and mistakes made with a probability of 1.
    y_true = np.array([0, 0, 1, 1, 2])
    y_pred = np.array([0, 3, 1, 0, 0])
    probabilities = np.eye(4)[y_pred]
    yield "gaps", [0, 1, 2, 3], y_true, y_pred, probabilities


def write_metrics():
    cases = []
    for name, classes, y_true, y_pred, probabilities in random_labels():
        cases.append({
            "name": name,
            "classes": classes,
            "y_true": y_true.tolist(),
            "y_pred": y_pred.tolist(),
            "true_probability": probabilities[np.arange(len(y_true)), np.searchsorted(classes, y_true)].tolist(),
            **figures(y_true, y_pred, classes, probabilities),
        })
    (OUT / "metrics.json").write_text(json.dumps({"sklearn": sklearn.__version__, "cases": cases}) + "\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_models()
    write_metrics()
