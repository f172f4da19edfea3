"""Join residual over NATS JetStream: publish rows as JSON, read the predictions.

    pip install -r requirements.txt
    RESIDUAL__PREDICTOR__ENCODING=json residual predictor --bus nats://localhost:4222 &
    residual metric --bus nats://localhost:4222 &
    python with_nats.py --url nats://localhost:4222 --rows 5

A topic is a stream with one subject of the same name, and every group is a durable consumer. residual's services declare
both, so one of them has to have been started once before. To read a topic, subscribe to its subject.
"""

import argparse
import asyncio
import json
import sys
import uuid

import nats


async def publish(stream, topic, record):
    """Publish one record, and return once JetStream has stored it."""
    # A message that is sent again under the same id is dropped by the server.
    headers = {"Content-Type": "application/json", "Nats-Msg-Id": str(uuid.uuid4())}
    await stream.publish(topic, json.dumps(record).encode(), headers=headers)


def records(body):
    """The records of a frame: one object or an array of them."""
    frame = json.loads(body)
    return frame if isinstance(frame, list) else [frame]


async def read(subscription, waiting):
    """Print predictions until every id that is waited for has come."""
    while waiting:
        message = await subscription.next_msg(timeout=None)
        if (message.headers or {}).get("Content-Type") != "application/json":
            continue
        for record in records(message.data):
            if record["id"] in waiting:
                waiting.remove(record["id"])
                print(record["id"], record["body"], flush=True)


async def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", default="nats://localhost:4222")
    arguments.add_argument("--prefix", default="", help="as `bus.prefix` of residual")
    arguments.add_argument("--rows", type=int, default=5)
    arguments.add_argument("--features", type=int, default=10, help="features that the model takes")
    arguments.add_argument("--timeout", type=float, default=30, help="seconds to wait for the predictions")
    asked = arguments.parse_args()

    connection = await nats.connect(asked.url)
    stream = connection.jetstream()
    subscription = await connection.subscribe(asked.prefix + "y_pred")

    waiting = set()
    for row in range(asked.rows):
        identifier = str(uuid.uuid4())
        waiting.add(identifier)
        await publish(stream, asked.prefix + "features", {"id": identifier, "body": [0.01 * row] * asked.features})
        await publish(stream, asked.prefix + "y_true", {"id": identifier, "body": 150.0 + row})

    try:
        await asyncio.wait_for(read(subscription, waiting), asked.timeout)
    except asyncio.TimeoutError:
        sys.exit(f"{len(waiting)} predictions did not come as JSON; does the predictor run with `predictor.encoding` json?")
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
