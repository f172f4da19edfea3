#!/usr/bin/env python3
"""Time scikit-learn and residual on the same models and rows, and print one table.

The two take turns for several rounds, and the shortest call of all rounds counts: whatever else the machine does only makes a call
longer. Needed only in development; run it from the repository root, in an environment with scikit-learn:

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
ROUNDS = 5


def shortest_ns(call):
    """The shortest of at least seven calls in 0.3 s, after a warm-up."""
    call()
    times, end = [], time.perf_counter_ns() + 300_000_000
    while len(times) < 7 or time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return min(times)


def their_round(models, x):
    """The shortest call of each model on each batch, in nanoseconds."""
    rows = {count: np.resize(x, (count, x.shape[1])) for count in BATCHES}
    return {(name, count): shortest_ns(lambda: model.predict(rows[count])) for name, model in models.items() for count in BATCHES}


def our_round(folder):
    """The same for residual, measured by benches/predict.rs."""
    command = ["cargo", "bench", "--quiet", "-j2", "--bench", "predict"]
    output = subprocess.run(command, env={**os.environ, "RESIDUAL_BENCH": folder}, check=True, capture_output=True, text=True).stdout
    cells = [line.split(",") for line in output.splitlines() if line.count(",") == 2]
    return {(name, int(count)): int(nanoseconds) for name, count, nanoseconds in cells}


def best_of(rounds):
    return {key: min(times[key] for times in rounds) for key in rounds[0]}


def main():
    x, y = load_diabetes(return_X_y=True)
    models = {
        "linear": LinearRegression().fit(x, y),
        "mlp 64-64": MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=300, random_state=0).fit(x, y),
        "forest 100": RandomForestRegressor(100, max_depth=8, random_state=0).fit(x, y),
    }
    load = [os.getloadavg()[0]]
    theirs, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            (pathlib.Path(folder) / f"{name}.pkl").write_bytes(pickle.dumps(model, protocol=4))
        for _ in range(ROUNDS):
            theirs.append(their_round(models, x))
            ours.append(our_round(folder))
            load.append(os.getloadavg()[0])
    theirs, ours = best_of(theirs), best_of(ours)
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, load {min(load):.1f} to {max(load):.1f}\n")
    print("| model | rows | scikit-learn, us | residual, us | ratio |\n|---|---|---|---|---|")
    for (name, count), nanoseconds in theirs.items():
        mine = ours[name, count]
        print(f"| {name} | {count} | {nanoseconds / 1e3:.1f} | {mine / 1e3:.1f} | {nanoseconds / mine:.1f} |")


if __name__ == "__main__":
    main()
