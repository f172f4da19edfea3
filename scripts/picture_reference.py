"""Writes tests/fixtures/picture/*.json: what numpy, scipy and seaborn say of the same numbers.

Development only. In a throwaway environment:

    python -m venv ENV && ENV/bin/pip install numpy scipy pandas matplotlib seaborn
    ENV/bin/python scripts/picture_reference.py

Values are either in the fixture or made by the generator below, which tests/it/picture.rs has too. It uses only
multiplication, division and addition, so both sides get the same bits.
"""

import json
import pathlib
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas
import scipy
import seaborn

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "picture"

# Made up; nobody's log.
THIRTY_SIX = [
    12.5, 3.25, 48.0, 7.75, 91.5, 33.125, 18.0, 64.25, 5.5, 27.75, 41.0, 2.125, 76.5, 22.25, 14.75, 38.5, 9.0, 55.25,
    30.5, 1.75, 103.0, 19.25, 45.5, 11.0, 68.75, 25.0, 36.25, 6.5, 82.25, 16.5, 51.0, 29.25, 8.25, 60.0, 139.75, 0.5,
]


def uniforms(seed):
    """A linear congruential generator of 64 bits; the upper 53 make a number from 0 to 1."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (state >> 11) * 2.0**-53


def bell(n, seed):
    """The sum of four uniforms, folded: much like the absolute error of a good model."""
    u = uniforms(seed)
    return [abs(next(u) + next(u) + next(u) + next(u) - 2.0) * 50.0 for _ in range(n)]


def pareto(n, seed):
    """A tail so heavy that no mean exists."""
    u = uniforms(seed)
    return [1.0 / ((1.0 - r) * (1.0 - r)) for r in (next(u) for _ in range(n))]


CASES = {
    "two": {"values": [3.5, 12.25]},
    "thirty_six": {"values": THIRTY_SIX},
    "ten_thousand": {"generator": "bell", "n": 10_000, "seed": 1},
    "million": {"generator": "bell", "n": 1_000_000, "seed": 2},
    "constant": {"values": [7.25] * 50},
    "two_valued": {"values": [1.0, 4.0, 4.0] * 100},
    "heavy_tailed": {"generator": "pareto", "n": 20_000, "seed": 3},
    "outliers": {"generator": "bell", "n": 1_000, "seed": 4, "more": [1e12, -1e12, 3.0]},
}


def values_of(case):
    if "values" in case:
        return case["values"]
    return {"bell": bell, "pareto": pareto}[case["generator"]](case["n"], case["seed"]) + case.get("more", [])


def reference(case):
    x = np.array(values_of(case))
    edges = np.histogram_bin_edges(x, "auto")
    counts, _ = np.histogram(x, bins=edges.size - 1, range=(edges[0], edges[-1]))
    figure, axes = plt.subplots(figsize=(10, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seaborn.histplot(x, kde=True, color="orange", edgecolor="black", ax=axes)
    assert [bar.get_height() for bar in axes.patches] == counts.tolist()
    curve = None
    if axes.lines:
        points = axes.lines[0].get_xydata()
        curve = {"x": points[:, 0].tolist(), "y": points[:, 1].tolist()}
    plt.close(figure)
    p50, p95 = np.percentile(x, [50, 95])
    return {
        "case": case,
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "curve": curve,
        "mean": x.mean(),
        "p50": p50,
        "p95": p95,
        "versions": {m.__name__: m.__version__ for m in (np, scipy, pandas, seaborn, matplotlib)},
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        text = json.dumps(reference(case), separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text + "\n")
        print(name, len(text))
