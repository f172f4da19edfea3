#!/usr/bin/env python3
"""Time scikit-learn and residual on the same models and rows, in one run, and print one table.

Development only; on a quiet machine, from the repository root, in an environment with scikit-learn:

    python model/speed.py
"""

import os
import pathlib
import pickle
import platform
import subprocess
import tempfile
import time

import numpy as np
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor

BATCHES = [1, 64, 1024, 16384]


def median_ns(call):
    """Median over at least 0.3 s and seven calls, after a warm-up."""
    call()
    times, end = [], time.perf_counter_ns() + 300_000_000
    while len(times) < 7 or time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times))


def main():
    x, y = load_diabetes(return_X_y=True)
    models = {
        "linear": LinearRegression().fit(x, y),
        "mlp 64-64": MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=300, random_state=0).fit(x, y),
        "forest 100": RandomForestRegressor(100, max_depth=8, random_state=0).fit(x, y),
    }
    with tempfile.TemporaryDirectory() as folder:
        theirs = {}
        for name, model in models.items():
            (pathlib.Path(folder) / f"{name}.pkl").write_bytes(pickle.dumps(model, protocol=4))
            for count in BATCHES:
                rows = np.resize(x, (count, x.shape[1]))
                theirs[name, count] = median_ns(lambda: model.predict(rows))
        command = ["cargo", "bench", "--quiet", "-j2", "--bench", "predict"]
        output = subprocess.run(command, env={**os.environ, "RESIDUAL_BENCH": folder}, check=True, capture_output=True, text=True).stdout
    ours = {}
    for line in output.splitlines():
        if line.count(",") == 2:
            name, count, nanoseconds = line.split(",")
            ours[name, int(count)] = float(nanoseconds)
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| model | rows | scikit-learn, us | residual, us | ratio |\n|---|---|---|---|---|")
    for (name, count), nanoseconds in theirs.items():
        mine = ours[name, count]
        print(f"| {name} | {count} | {nanoseconds / 1e3:.1f} | {mine / 1e3:.1f} | {nanoseconds / mine:.1f} |")


if __name__ == "__main__":
    main()
