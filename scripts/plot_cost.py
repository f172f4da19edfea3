"""What the picture of a log costs, here and with pandas and seaborn. Development only:

    python -m venv ENV && ENV/bin/pip install numpy scipy pandas matplotlib seaborn
    cargo build --release && ENV/bin/python scripts/plot_cost.py 442 10000 1000000

Each number of rows is drawn from cold in a process of its own, five times; the best counts: seconds on the clock,
seconds of CPU, MiB at the most. Seaborn's process reads the log and draws as the original does.
"""

import os
import pathlib
import random
import sys
import tempfile
import time

SEABORN = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas, seaborn, sys
log = pandas.read_csv(sys.argv[1])
plt.figure(figsize=(10, 5))
seaborn.histplot(log["absolute_error"], kde=True, color="orange", edgecolor="black")
plt.savefig(sys.argv[2])
"""

RESIDUAL = pathlib.Path(__file__).parent.parent / "target" / "release" / "residual"


def write_log(path, rows):
    random.seed(1)
    with open(path, "w") as log:
        log.write("id,y_true,y_pred,absolute_error\n")
        for row in range(rows):
            y_true, y_pred = float(random.randint(25, 346)), random.gauss(152.0, 60.0)
            log.write(f"018bcfe5-6800-7000-8000-{row:012x},{y_true!r},{y_pred!r},{abs(y_true - y_pred)!r}\n")


def cost(command):
    begun = time.perf_counter()
    child = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, used = os.wait4(child, 0)
    assert status == 0, command
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    print(f"{'rows':>11} {'':>9} {'clock s':>8} {'CPU s':>8} {'MiB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        log, picture = f"{folder}/log.csv", f"{folder}/picture.png"
        for rows in map(int, sys.argv[1:] or ["442", "10000", "1000000"]):
            write_log(log, rows)
            for name, command in {
                "residual": [str(RESIDUAL), "plot", "--once", "--input", log, "--output", picture],
                "seaborn": [sys.executable, "-c", SEABORN, log, picture],
            }.items():
                clock, cpu, memory = map(min, zip(*(cost(command) for _ in range(5))))
                print(f"{rows:>11} {name:>9} {clock:>8.3f} {cpu:>8.3f} {memory:>6.0f}", flush=True)


if __name__ == "__main__":
    main()
