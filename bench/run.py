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


class Broker:
    """A server in a process group of its own."""

    def __init__(self, group):
        self.group = group
        self.url = None

    def cpu_s(self):
        """Processor time of the group so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.group:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def group(command, environment, log):
    with open(log, "w") as out:
        child = subprocess.Popen(command, env={**os.environ, **environment}, cwd=log.parent, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Broker(child.pid)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@contextlib.contextmanager
def nats_server(folder):
    port = free_port()
    folder.mkdir()
    settings = folder / "nats.conf"
    settings.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/store" }}\n')
    with group(["nats-server", "-c", str(settings)], {}, folder / "log") as broker:
        await_port(port, "nats-server")
        broker.url = f"nats://127.0.0.1:{port}"
        yield broker


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
    with group(["sh", "-c", script], environment, folder / "log") as broker:
        await_port(port, "rabbitmq-server")
        time.sleep(5)  # It listens before it has finished its start.
        broker.url = f"amqp://guest:guest@127.0.0.1:{port}"
        yield broker


def measured_run(broker, command):
    """What the command prints, with the processor time that it and the broker took."""
    say(" ".join([Path(command[0]).name.partition("-")[0], *command[1:]]))
    before = broker.cpu_s() if broker else 0
    ours = os.times()
    result = json.loads(run(command))
    used = os.times()
    result["own_cpu_s"] = used.children_user + used.children_system - ours.children_user - ours.children_system
    result["broker_cpu_s"] = broker.cpu_s() - before if broker else 0
    return result


def bench(broker, *flags):
    where = ["--bus", broker.url] if broker else []
    return measured_run(broker, [str(BINARY), "bench", "--json", *where, *flags])


def median_of(repeat, once):
    results = sorted((once() for _ in range(repeat)), key=lambda result: result["rows_per_second"])
    return results[len(results) // 2]


def ceiling(broker, program, *flags):
    return measured_run(broker, [program, broker.url, *flags])


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
    with rabbitmq_server(folder / "rabbitmq") as rabbitmq, nats_server(folder / "nats") as nats:
        measured["seed"] = seed(folder, rabbitmq.url)
        program = ceiling_program()
        paced = ["--rows", str(PACED_ROWS), "--rate", str(PACED_RATE)]
        buses = {"RabbitMQ": (rabbitmq, []), "NATS": (nats, []), "embedded, on disk": (None, []), "embedded, in memory": (None, ["--memory"])}
        for name, (broker, flags) in buses.items():
            measured[name] = median_of(repeat, lambda: bench(broker, *flags, "--rows", rows))
            measured[name + ", paced"] = bench(broker, *flags, *paced)
            if arguments.long:
                measured[name + ", long"] = bench(broker, *flags, "--rows", "10000000")
            if broker:
                measured[name + ", processes"] = median_of(repeat, lambda: bench(broker, "--processes", "--rows", rows))
                measured[name + ", ceiling"] = median_of(repeat, lambda: ceiling(broker, program, "--rows", rows, "--frame", str(FRAME)))
                measured[name + ", floor"] = ceiling(broker, program, *paced, "--folder", str(folder))
        measured["sync"] = sync_ms(folder)
    measured["cold"] = cold_start_ms(folder, repeat)
    return measured


def sync_ms(folder):
    """p50, p99 and p99.9 of appending a line to a file and syncing it, once a millisecond."""
    took = []
    with open(folder / "sync", "wb", buffering=0) as file:
        for _ in range(2_000):
            file.write(b"." * 80)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(1_000 * (time.perf_counter() - began))
            time.sleep(0.001)
    took.sort()
    return [took[int(len(took) * q)] for q in (0.5, 0.99, 0.999)]


def report(arguments, about, measured):
    original = measured["seed"]["rows_per_second"]
    throughput, paced, long = [], [], []
    for name, result in measured.items():
        bus, _, kind = name.rpartition(", ") if name.endswith(("paced", "long", "processes", "ceiling", "floor")) else (name, "", "")
        if kind in ("ceiling", "floor") or name in ("seed", "sync", "cold"):
            continue
        if kind == "paced":
            floor = measured.get(bus + ", floor")
            paced.append([bus, *milliseconds(result["times"]["latency_ms"]), *(milliseconds(floor["latency_ms"][:2]) if floor else ("", "")), cpu_s(result)])
            continue
        top = measured.get(bus + ", ceiling")
        share = f"{result['rows_per_second'] / top['rows_per_second']:.0%}" if top else ""
        broker = f"{result['broker_cpu_s']:.1f}" if top else ""
        row = [name.removesuffix(", long"), f"{result['rows_per_second']:,.0f}", f"{result['rows_per_second'] / original:,.0f} x", share, cpu_s(result), broker, peak_mib(result)]
        (long if kind == "long" else throughput).append(row)
    heading = ["bus", "rows/s", "of the original", "of the raw ceiling", "processor time, s", "the broker's, s", "peak memory, MiB"]
    parts = [
        "# Results",
        f"Written by `python3 bench/run.py --rows {arguments.rows} --repeat {arguments.repeat}{' --long' if arguments.long else ''}` (`just bench`) on {datetime.date.today()}.",
        "\n".join(about),
        f"The original's loops ({measured['seed']['versions']}; nothing durable, nothing confirmed): **{original:,.0f} rows/s**.",
        "## As fast as it goes",
        f"{arguments.rows:,} rows, frames of {FRAME}, medians of {arguments.repeat}. Every run was proven: each id once, and the sum of SHA-256 over "
        "`y_true` and `y_pred` as computed offline. The broker runs on the same cores.",
        table_of(heading, throughput),
        *why_not_the_ceiling(measured),
        f"## Paced at {PACED_RATE:,} rows/s",
        "From features to the durable row, in milliseconds. The floor is `benches/ceiling.rs` at the same rate: the client library alone takes one row a "
        "frame the same way, two hops and a file that is synced. Syncing a file alone takes "
        + ", ".join(f"{name} {ms}" for name, ms in zip(("p50", "p99", "p99.9"), milliseconds(measured["sync"]))) + " on this disk.",
        table_of(["bus", "p50", "p99", "p99.9", "floor p50", "floor p99", "processor time, s"], paced),
    ]
    if long:
        parts += ["## 10,000,000 rows", table_of(heading, long)]
    parts += [
        "## Start and size",
        f"`residual run --count 1` from start to end, picture drawn: {measured['cold']:.0f} ms. Binary: {BINARY.stat().st_size / 1e6:.1f} MB.",
        "Commands: `residual bench [--bus URL | --memory] [--processes] [--rate R] --rows N`, `cargo bench --bench ceiling -- URL [--rate R]`, `python bench/seed.py`.",
    ]
    (ROOT / "bench" / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


def milliseconds(times):
    return [f"{ms:.2f}" for ms in times]


def why_not_the_ceiling(measured):
    """The sum of what moving the frames costs and what the work costs, against what the cores give."""
    cores = os.cpu_count()
    work = sum(usage["cpu_s"] for _, usage in measured["embedded, in memory"]["stages"])
    rows = []
    for name in ("RabbitMQ", "NATS"):
        top, run = measured[name + ", ceiling"], measured[name]
        moving = top["own_cpu_s"] + top["broker_cpu_s"]
        budget = cores * top["rows"] / top["rows_per_second"]
        best = budget / (budget + work)
        cells = (f"{top['rows_per_second']:,.0f}", f"{top['own_cpu_s']:.2f}", f"{top['broker_cpu_s']:.2f}", f"{moving / budget:.0%}", f"{work:.2f}", f"{best:.0%}")
        rows.append([name, *cells, f"{run['rows_per_second'] / top['rows_per_second']:.0%}"])
    return (
        f"The raw ceiling is `benches/ceiling.rs`: the same frames through the same broker by the client library alone. It keeps the {cores} cores busy by "
        "itself, so the work on the rows (labelling, encoding, scoring, joining, formatting, checking; measured as the embedded bus in memory, which moves "
        "nothing) comes on top, and the share that could be reached if nothing else cost anything is the ceiling's time over the sum of both:",
        table_of(["bus", "ceiling, rows/s", "its clients, s", "its broker, s", "of the cores", "work on the rows, s", "reachable", "reached"], rows),
    )


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
