#!/usr/bin/env python3
"""Runs every benchmark once and writes bench/RESULTS.md: ratios of one run on one machine, with versions and commands.

Starts private brokers (packages rabbitmq-server and nats-server) in a temporary folder on free ports, and stops them.
The original's loops need pika and scikit-learn, which a throwaway environment gets from PyPI.

    python3 bench/run.py [--rows 1000000] [--repeat 3] [--long]

--long adds 10,000,000 rows, to show that memory stays flat.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "residual"
FRAME = 256
SEED_ROWS = 5_000
PACED_ROWS, PACED_RATE = 20_000, 1_000


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command, **options):
    shown = " ".join(str(part) for part in command)
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, **options)
    if done.returncode:
        raise SystemExit(f"`{shown}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, what):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit(f"{what} did not start")


@contextlib.contextmanager
def group(command, environment, log):
    with open(log, "w") as out:
        child = subprocess.Popen(command, env={**os.environ, **environment}, cwd=log.parent, stdout=out, stderr=out, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@contextlib.contextmanager
def nats_server(folder):
    port = free_port()
    folder.mkdir()
    settings = folder / "nats.conf"
    settings.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/store" }}\n')
    with group(["nats-server", "-c", str(settings)], {}, folder / "log"):
        await_port(port, "nats-server")
        yield f"nats://127.0.0.1:{port}"


@contextlib.contextmanager
def rabbitmq_server(folder):
    port, epmd = free_port(), free_port()
    folder.mkdir()
    (folder / "plugins").write_text("[].")
    environment = {
        "HOME": str(folder),
        "ERL_CRASH_DUMP": str(folder / "dump"),
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log.d"),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
    }
    server = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin:" + os.environ["PATH"])
    script = f"epmd -port {epmd} & exec {server}"
    with group(["sh", "-c", script], environment, folder / "log"):
        await_port(port, "rabbitmq-server")
        time.sleep(5)  # It listens before it has finished its start.
        yield f"amqp://guest:guest@127.0.0.1:{port}"


def bench(*flags):
    say("residual bench " + " ".join(flags))
    return json.loads(run([str(BINARY), "bench", "--json", *flags]))


def median_of(repeat, flags):
    results = [bench(*flags) for _ in range(repeat)]
    results.sort(key=lambda result: result["rows_per_second"])
    return results[len(results) // 2]


def ceiling(program, url, rows):
    say(f"raw ceiling of {url.split(':')[0]}")
    return json.loads(run([program, url, "--rows", str(rows), "--frame", str(FRAME)]))["rows_per_second"]


def ceiling_program():
    built = run(["cargo", "bench", "--locked", "--bench", "ceiling", "--no-run", "--message-format", "json"])
    artifacts = [json.loads(line) for line in built.splitlines()]
    return next(one["executable"] for one in artifacts if one.get("executable") and one["target"]["name"] == "ceiling")


def seed(folder, url):
    say("the original's loops")
    environment = folder / "venv"
    run([sys.executable, "-m", "venv", str(environment)])
    python = str(environment / "bin" / "python")
    run([python, "-m", "pip", "install", "--quiet", "pika", "scikit-learn"])
    return json.loads(run([python, "bench/seed.py", "--url", url, "--rows", str(SEED_ROWS)]))


def cold_start_ms(folder, repeat):
    """From the start of the process to its end, with one row recorded and its picture drawn."""
    took = []
    for number in range(max(repeat, 5)):
        began = time.perf_counter()
        run([str(BINARY), "run", "--count", "1", "--interval", "0s", "--listen", "off", "--log-level", "warn", "--logs", str(folder / f"cold{number}")])
        took.append(1_000 * (time.perf_counter() - began))
    return statistics.median(took)


def table_of(heading, rows):
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def peak_mib(result):
    return ", ".join(f"{name} {usage['peak_bytes'] / 2**20:.0f}" for name, usage in result["stages"])


def cpu_s(result):
    return ", ".join(f"{name} {usage['cpu_s']:.1f}" for name, usage in result["stages"])


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine())
    return [
        f"- {os.cpu_count()} cores ({model}), Linux {'.'.join(platform.release().split('.')[:2])}, load {os.getloadavg()[0]:.2f} at the start",
        f"- {run([str(BINARY), '--version'])} at {run(['git', 'rev-parse', '--short', 'HEAD'])}, {run(['rustc', '--version'])}, release profile of Cargo.toml",
    ]


def measure(arguments, folder):
    rows, repeat = str(arguments.rows), arguments.repeat
    measured = {}
    with rabbitmq_server(folder / "rabbitmq") as amqp, nats_server(folder / "nats") as nats:
        measured["seed"] = seed(folder, amqp)
        program = ceiling_program()
        buses = {"RabbitMQ": ["--bus", amqp], "NATS": ["--bus", nats], "embedded, on disk": [], "embedded, in memory": ["--memory"]}
        for name, flags in buses.items():
            measured[name] = median_of(repeat, [*flags, "--rows", rows])
            measured[name + ", paced"] = bench(*flags, "--rows", str(PACED_ROWS), "--rate", str(PACED_RATE))
            if arguments.long:
                measured[name + ", long"] = bench(*flags, "--rows", "10000000")
        for name, url in (("RabbitMQ", amqp), ("NATS", nats)):
            measured[name + ", processes"] = median_of(repeat, ["--bus", url, "--processes", "--rows", rows])
            measured[name + ", ceiling"] = statistics.median(ceiling(program, url, arguments.rows) for _ in range(repeat))
    measured["cold"] = cold_start_ms(folder, repeat)
    return measured


def report(arguments, about, measured):
    original = measured["seed"]["rows_per_second"]
    throughput, paced, long = [], [], []
    for name, result in measured.items():
        if not isinstance(result, dict) or name == "seed":
            continue
        if name.endswith("paced"):
            paced.append([name.removesuffix(", paced"), *(f"{ms:.2f}" for ms in result["times"]["latency_ms"]), cpu_s(result)])
            continue
        ceiling_of = measured.get(name.split(",")[0] + ", ceiling")
        share = f"{result['rows_per_second'] / ceiling_of:.0%}" if ceiling_of else ""
        row = [name, f"{result['rows_per_second']:,.0f}", f"{result['rows_per_second'] / original:,.0f} x", share, cpu_s(result), peak_mib(result)]
        (long if name.endswith("long") else throughput).append(row)
    heading = ["bus", "rows/s", "of the original", "of the raw ceiling", "processor time, s", "peak memory, MiB"]
    parts = [
        "# Results",
        f"Written by `python3 bench/run.py --rows {arguments.rows} --repeat {arguments.repeat}{' --long' if arguments.long else ''}` (`just bench`) on {datetime.date.today()}.",
        "\n".join(about),
        f"The original's loops ({measured['seed']['versions']}; nothing durable, nothing confirmed): **{original:,.0f} rows/s**.",
        "## As fast as it goes",
        f"{arguments.rows:,} rows, frames of {FRAME}, medians of {arguments.repeat}. Every run was proven: each id once, and the sum of SHA-256 over "
        "`y_true` and `y_pred` as computed offline. The broker runs on the same cores.",
        table_of(heading, throughput),
        "The raw ceiling is `benches/ceiling.rs`: the same frames through the same broker by the client library alone: "
        + ", ".join(f"{name} {measured[name + ', ceiling']:,.0f} rows/s" for name in ("RabbitMQ", "NATS")) + ".",
        f"## Paced at {PACED_RATE:,} rows/s",
        "From features to the durable row, in milliseconds.",
        table_of(["bus", "p50", "p99", "p99.9", "processor time, s"], paced),
    ]
    if long:
        parts += ["## 10,000,000 rows", table_of(heading, long)]
    parts += [
        "## Start and size",
        f"`residual run --count 1` from start to end, picture drawn: {measured['cold']:.0f} ms. Binary: {BINARY.stat().st_size / 1e6:.1f} MB.",
        "Commands: `residual bench [--bus URL | --memory] [--processes] [--rate R] --rows N`, `cargo bench --bench ceiling -- URL`, `python bench/seed.py`.",
    ]
    (ROOT / "bench" / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    run(["cargo", "build", "--release", "--locked"])
    about = machine()
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="bench-") as folder:
        measured = measure(arguments, Path(folder))
    report(arguments, about, measured)
    say("wrote bench/RESULTS.md")


if __name__ == "__main__":
    main()
