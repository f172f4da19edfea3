"""Let residual judge predictions that were made elsewhere, over HTTP and without any package.

    residual metric --bus embedded: --listen 127.0.0.1:8080 &
    residual plot &
    python judge_over_http.py --url http://127.0.0.1:8080

Truths and predictions may come in any order and at any time; they are joined by their id.
"""

import argparse
import json
import random
import time
import urllib.error
import urllib.request


def post(url, records, token=None, tries=10):
    """Post records; wait and try again while residual says that the bus is full or away."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    for _ in range(tries):
        request = urllib.request.Request(url, json.dumps(records).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            if refusal.code not in (429, 503):
                raise SystemExit(f"{refusal.code}: {refusal.read().decode()}") from refusal
            time.sleep(float(refusal.headers.get("Retry-After", 1)))
    raise SystemExit("residual takes no records at the moment")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", default="http://127.0.0.1:8080")
    arguments.add_argument("--token")
    arguments.add_argument("--rows", type=int, default=100)
    asked = arguments.parse_args()

    chance = random.Random(7)
    truths = [{"id": f"judged-{row}", "body": chance.gauss(100, 30)} for row in range(asked.rows)]
    predictions = [{"id": truth["id"], "body": truth["body"] + chance.gauss(0, 5)} for truth in truths]
    print(post(f"{asked.url}/y_pred", predictions, asked.token))
    print(post(f"{asked.url}/y_true", truths, asked.token))


if __name__ == "__main__":
    main()
