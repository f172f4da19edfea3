#!/usr/bin/env python3
"""The project that residual began as, re-made for a side by side: four small loops with pika and scikit-learn.

One message a row, JSON, automatic acknowledgement, nothing durable, no confirms; a row is appended to a CSV file as soon as
both halves are there. Unpaced, it streams ROWS rows through a RabbitMQ broker and prints rows a second, from the first
row sent to the last one written.

    python bench/seed.py --url amqp://guest:guest@127.0.0.1:5672/ --rows 5000

Needs pika and scikit-learn. Development only: nothing of residual imports it.
"""

import argparse
import json
import multiprocessing
import pickle
import tempfile
import time
from pathlib import Path

import numpy
import pika
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

QUEUES = ("seed.features", "seed.y_true", "seed.y_pred")


def channel_to(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for queue in QUEUES:
        channel.queue_declare(queue=queue)
    return channel


def features(url, rows):
    data, target = load_diabetes(return_X_y=True)
    channel = channel_to(url)
    generator = numpy.random.default_rng(7)
    for number in range(rows):
        row = int(generator.integers(0, len(data)))
        truth = {"id": number, "body": float(target[row])}
        vector = {"id": number, "body": data[row].tolist()}
        channel.basic_publish("", "seed.y_true", json.dumps(truth))
        channel.basic_publish("", "seed.features", json.dumps(vector))
    channel.connection.close()


def predictor(url, pickled):
    model = pickle.loads(pickled)
    channel = channel_to(url)

    def on_features(channel, method, properties, body):
        message = json.loads(body)
        y_pred = model.predict(numpy.array(message["body"]).reshape(1, -1))
        answer = {"id": message["id"], "body": float(y_pred[0])}
        channel.basic_publish("", "seed.y_pred", json.dumps(answer))

    channel.basic_consume("seed.features", on_features, auto_ack=True)
    channel.start_consuming()


def metric(url, rows, log, done):
    channel = channel_to(url)
    halves = {}
    state = {"rows": 0}

    def on_half(name):
        def on_message(channel, method, properties, body):
            message = json.loads(body)
            half = halves.setdefault(message["id"], {})
            half[name] = message["body"]
            if len(half) < 2:
                return
            del halves[message["id"]]
            error = abs(half["y_true"] - half["y_pred"])
            with open(log, "a") as file:
                file.write(f"{message['id']},{half['y_true']},{half['y_pred']},{error}\n")
            state["rows"] += 1
            if state["rows"] == rows:
                done.set()

        return on_message

    for name in ("y_true", "y_pred"):
        channel.basic_consume(f"seed.{name}", on_half(name), auto_ack=True)
    channel.start_consuming()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1:5672/")
    parser.add_argument("--rows", type=int, default=5000)
    arguments = parser.parse_args()
    model = LinearRegression().fit(*load_diabetes(return_X_y=True))
    setup = channel_to(arguments.url)
    for queue in QUEUES:
        setup.queue_purge(queue)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "metric_log.csv"
        log.write_text("id,y_true,y_pred,absolute_error\n")
        done = multiprocessing.Event()
        workers = [
            multiprocessing.Process(target=predictor, args=(arguments.url, pickle.dumps(model)), daemon=True),
            multiprocessing.Process(target=metric, args=(arguments.url, arguments.rows, log, done), daemon=True),
        ]
        for worker in workers:
            worker.start()
        time.sleep(2)  # Both consumers are there before the clock starts.
        began = time.perf_counter()
        source = multiprocessing.Process(target=features, args=(arguments.url, arguments.rows), daemon=True)
        source.start()
        if not done.wait(timeout=300):
            raise SystemExit("not every row came within 300 s")
        seconds = time.perf_counter() - began
        for worker in workers:
            worker.terminate()
        written = len(log.read_text().splitlines()) - 1
    for queue in QUEUES:
        setup.queue_delete(queue)
    versions = f"pika {pika.__version__}, scikit-learn {sklearn.__version__}, numpy {numpy.__version__}"
    print(json.dumps({"rows": written, "seconds": seconds, "rows_per_second": written / seconds, "versions": versions}))


if __name__ == "__main__":
    main()
