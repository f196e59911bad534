"""Measure the latency of `mindref serve` for single histories, with one and with four connections.

    python -m tests.measure.serve_latency RUN [REQUESTS] [THREADS]

The histories are those of users of the run's log, drawn with a fixed seed. Each connection is a
process that sends its next request when the answer of the last one has arrived. The first requests
of a connection are not counted.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

import mindref

CONNECTIONS = (1, 4)
WARM_UP = 20  # requests of each connection
USERS = 500


def read_bodies(run: str) -> list[bytes]:
    """Return a request for each of some users of the log of a run."""
    served = mindref.load(run).served
    users = np.random.default_rng(0).choice(len(served.log.user_ids), USERS)
    rows, _, _ = served.encode_users([served.log.user_ids[user] for user in users])
    histories = [[served.items.ids[item] for item in rows.row(case)] for case in range(len(rows))]
    return [json.dumps({"history": history, "n": 20}).encode() for history in histories]


def send_requests(port: int, bodies: list[bytes], count: int) -> list[float]:
    """Return the seconds of each request on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for number in range(WARM_UP + count):
        start = time.perf_counter()
        body = bodies[number % len(bodies)]
        connection.request("POST", "/recommend", body, {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        seconds.append(time.perf_counter() - start)
        assert response.status == 200, content
    connection.close()
    return seconds[WARM_UP:]


def main(run: str, requests: str = "2000", threads: str = "2") -> None:
    """Print the table."""
    bodies = read_bodies(run)
    print("| connections | p50, ms | p90, ms | p99, ms |\n|---|--:|--:|--:|")
    command = [sys.executable, "-m", "mindref", "serve", run, "--port", "0", "--index", "exact"]
    command += ["--threads", threads]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline().rpartition(":")[2])
        for number in CONNECTIONS:
            with ProcessPoolExecutor(number, get_context("spawn")) as pool:
                shares = [bodies[first::number] for first in range(number)]
                counts = [int(requests) // number] * number
                seconds = np.concatenate(
                    list(pool.map(send_requests, [port] * number, shares, counts))
                )
            cells = " | ".join(f"{x * 1e3:.1f}" for x in np.percentile(seconds, [50, 90, 99]))
            print(f"| {number} | {cells} |")
        service.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
