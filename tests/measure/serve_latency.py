"""Measure the latency of `mindref serve` for single histories, with several connections.

    python -m tests.measure.serve_latency RUN [REQUESTS] [THREADS]

The histories are those of users of the run's log, drawn with a fixed seed. Each connection is a
process that sends its next request when the answer of the last one has arrived. The first requests
of a connection are not counted. The rows are measured in turns, ROUNDS times each. A row has all
its requests: p50, p90 and p99 in milliseconds, and requests per second. The first row has the same
requests in this process, one after the other, without HTTP. The last column is the CPU time of the
service per request, which other load on the machine changes little (Linux only).
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import mindref
from mindref.service.answers import HistoryAnswers
from mindref.service.request_body import parse_request

CONNECTIONS = (1, 4)
ROUNDS = 3
WARM_UP = 20  # requests of each connection
USERS = 500


def read_histories(run: str) -> list[list[str]]:
    """Return histories of users of the log of a run, as item ids."""
    served = mindref.load(run).served
    users = np.random.default_rng(0).choice(len(served.log.user_ids), USERS)
    rows, _, _ = served.encode_users([served.log.user_ids[user] for user in users])
    return [[served.items.ids[item] for item in rows.row(case)] for case in range(len(rows))]


@contextmanager
def start_service(run: str, threads: str):
    """Yield the port and the process id of a service."""
    command = [sys.executable, "-m", "mindref", "serve", run, "--port", "0", "--index", "exact"]
    with subprocess.Popen(
        [*command, "--threads", threads], stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            yield int(service.stdout.readline().rpartition(":")[2]), service.pid
        finally:
            service.terminate()


def send_requests(port: int, bodies: list[bytes], count: int) -> list[float]:
    """Return the seconds of each request on one connection."""
    connection, headers = http.client.HTTPConnection("127.0.0.1", port), {}
    headers["content-type"], seconds = "application/json", []
    for number in range(WARM_UP + count):
        start = time.perf_counter()
        connection.request("POST", "/recommend", bodies[number % len(bodies)], headers)
        response = connection.getresponse()
        content = response.read()
        seconds.append(time.perf_counter() - start)
        assert response.status == 200, content
    connection.close()
    return seconds[WARM_UP:]


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_round(address: tuple[int, int], bodies: list[bytes], connections: int, count: int):
    """Return the seconds of all requests, of the round, and of the CPU for each request."""
    port, process = address
    shares = [bodies[first::connections] for first in range(connections)]
    with ProcessPoolExecutor(connections, get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.3] * connections))  # every process has started
        start, cpu = time.perf_counter(), cpu_seconds(process)
        counts = [count // connections] * connections
        seconds = list(pool.map(send_requests, [port] * connections, shares, counts))
        elapsed, cpu = time.perf_counter() - start, cpu_seconds(process) - cpu
        return np.concatenate(seconds), elapsed, cpu / (connections * WARM_UP + sum(counts))


def measure_direct(answers: HistoryAnswers, bodies: list[bytes], count: int):
    """Return the seconds of each request without HTTP, of the round, and of the CPU."""
    seconds, begin, cpu = [], time.perf_counter(), time.process_time()
    for number in range(WARM_UP + count):
        start = time.perf_counter()
        json.dumps(answers(parse_request(bodies[number % len(bodies)])))
        seconds.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / (WARM_UP + count)
    return np.array(seconds[WARM_UP:]), time.perf_counter() - begin, cpu


def main(run: str, requests: str = "2000", threads: str = "2") -> None:
    """Print the table."""
    histories, count = read_histories(run), int(requests)
    bodies = [json.dumps({"history": history, "n": 20}).encode() for history in histories]
    answers = HistoryAnswers.load(Path(run), "exact", None, "cpu", [])
    results = {name: [] for name in ("no HTTP", *map(str, CONNECTIONS))}
    with start_service(run, threads) as address:
        for _ in range(ROUNDS):
            results["no HTTP"].append(measure_direct(answers, bodies, count))
            for connections in CONNECTIONS:
                results[str(connections)].append(measure_round(address, bodies, connections, count))
    print("| connections | p50, ms | p90, ms | p99, ms | requests per second | CPU, ms |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, rounds in results.items():
        seconds = np.concatenate([seconds for seconds, _, _ in rounds])
        total = sum(elapsed for _, elapsed, _ in rounds)
        cpu = np.mean([cpu for _, _, cpu in rounds]) * 1e3
        cells = " | ".join(f"{x * 1e3:.1f}" for x in np.percentile(seconds, [50, 90, 99]))
        print(f"| {name} | {cells} | {len(seconds) / total:,.0f} | {cpu:.1f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
