"""Join residual over RabbitMQ: publish rows as JSON, read the predictions.

    pip install -r requirements.txt
    RESIDUAL__PREDICTOR__ENCODING=json residual predictor --bus amqp://guest:guest@localhost:5672/%2f &
    residual metric --bus amqp://guest:guest@localhost:5672/%2f &
    python with_pika.py --url amqp://guest:guest@localhost:5672/%2f --rows 5

A topic is a durable fanout exchange, and every group has a queue of its own. residual's services declare both, so one of
them has to have been started once before. To read a topic, bind a queue of your own to its exchange.
"""

import argparse
import json
import sys
import time
import uuid

import pika


def publish(channel, topic, record):
    """Publish one record, and return once RabbitMQ has confirmed it."""
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent,
        message_id=str(uuid.uuid4()),
    )
    # `mandatory` makes a message that no group would get an error instead of a loss.
    channel.basic_publish(topic, "", json.dumps(record), properties, mandatory=True)


def records(body):
    """The records of a frame: one object or an array of them."""
    frame = json.loads(body)
    return frame if isinstance(frame, list) else [frame]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", default="amqp://guest:guest@localhost:5672/%2f")
    arguments.add_argument("--prefix", default="", help="as `bus.prefix` of residual")
    arguments.add_argument("--rows", type=int, default=5)
    arguments.add_argument("--features", type=int, default=10, help="features that the model takes")
    arguments.add_argument("--timeout", type=float, default=30, help="seconds to wait for the predictions")
    asked = arguments.parse_args()

    connection = pika.BlockingConnection(pika.URLParameters(asked.url))
    channel = connection.channel()
    channel.confirm_delivery()
    mine = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(mine, asked.prefix + "y_pred")

    waiting = set()
    for row in range(asked.rows):
        identifier = str(uuid.uuid4())
        waiting.add(identifier)
        publish(channel, asked.prefix + "features", {"id": identifier, "body": [0.01 * row] * asked.features})
        publish(channel, asked.prefix + "y_true", {"id": identifier, "body": 150.0 + row})

    deadline = time.monotonic() + asked.timeout
    for method, properties, body in channel.consume(mine, auto_ack=True, inactivity_timeout=1):
        if method is not None and properties.content_type == "application/json":
            for record in records(body):
                if record["id"] in waiting:
                    waiting.remove(record["id"])
                    print(record["id"], record["body"], flush=True)
        if not waiting or time.monotonic() > deadline:
            break
    channel.cancel()
    connection.close()
    if waiting:
        sys.exit(f"{len(waiting)} predictions did not come as JSON; does the predictor run with `predictor.encoding` json?")


if __name__ == "__main__":
    main()
