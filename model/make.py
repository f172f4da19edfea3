#!/usr/bin/env python3
"""Write data/diabetes.csv, model/myfile.pkl and the reference predictions.

Needed only in development: the program itself never runs Python. It takes scikit-learn and numpy, in any temporary environment:

    python3 -m venv "$(mktemp -d)/venv" && . .../venv/bin/activate && pip install scikit-learn
    python model/make.py            # from the repository root
    cargo run -- convert model/myfile.pkl -o model/myfile.safetensors

The target is a measure of how far the disease has progressed after one year; the ten columns are scaled as in scikit-learn.
"""

import csv
import pathlib
import pickle

import numpy as np
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "diabetes.csv"
MODEL = ROOT / "model" / "myfile.pkl"
REFERENCE = ROOT / "tests" / "fixtures" / "diabetes_linear.csv"


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        # repr() of a float is the shortest decimal that is parsed to the same bits.
        writer.writerows([repr(float(value)) for value in row] for row in rows)


def main():
    bunch = load_diabetes()
    features, target = bunch.data, bunch.target
    assert features.shape == (442, 10)
    model = LinearRegression().fit(features, target)
    y_pred = model.predict(features)

    write_csv(DATA, [*bunch.feature_names, "target"], np.column_stack([features, target]))
    MODEL.write_bytes(pickle.dumps(model, protocol=4))
    write_csv(REFERENCE, ["y_pred"], y_pred.reshape(-1, 1))

    error = target - y_pred
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}")
    print(f"MAE {np.abs(error).mean():.6f}  RMSE {np.sqrt((error**2).mean()):.6f}")


if __name__ == "__main__":
    main()
