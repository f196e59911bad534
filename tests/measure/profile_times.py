"""Time `mindref conform` in its profiles, on a quiet machine and while other processes compute.

python -m tests.measure.profile_times             print the table
python -m tests.measure.profile_times --write     write it into specs/conformance.md
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mindref.bench.machine import processor_name
from tests import spec_pages
from tests.conformance.mutant_kills import write_section

PAGE = spec_pages.SPECS / "conformance.md"
REPEATS = {"smoke": 3, "standard": 1}
"""Number of runs on a quiet machine, of which the table has the median: a short one varies."""
RUNS = [(backend, profile) for profile in ("smoke", "standard") for backend in ("numpy", "numba")]


def compute() -> None:
    x = np.random.default_rng(0).standard_normal((64, 64))
    while True:
        np.linalg.eigvalsh(x @ x.T)


@contextmanager
def busy_machine(count: int) -> Iterator[None]:
    """Compute in `count` processes within the `with` block."""
    workers = [multiprocessing.Process(target=compute, daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()


def seconds_of(backend: str, profile: str) -> float:
    """Return the seconds of a run, which must conform."""
    command = [sys.executable, "-m", "mindref", "conform", "--backend", backend]
    began = time.monotonic()
    subprocess.run([*command, "--profile", profile], check=True, capture_output=True)
    return time.monotonic() - began


def table() -> Iterator[str]:
    cores = len(os.sched_getaffinity(0))
    seconds_of("numba", "smoke")  # compiles the kernels
    yield f"| backend | profile | quiet | while {cores} other processes compute |"
    yield "|---|---|--:|--:|"
    for backend, profile in RUNS:
        quiet = statistics.median(seconds_of(backend, profile) for _ in range(REPEATS[profile]))
        with busy_machine(cores):
            busy = seconds_of(backend, profile)
        yield f"| {backend} | {profile} | {quiet:.0f} s | {busy:.0f} s |"
    yield ""
    yield f"Machine: {cores} cores, {processor_name()}."


def main() -> None:
    lines = []
    for line in table():
        lines.append(line)
        print(line, flush=True)
    if sys.argv[1:] == ["--write"]:
        write_section("times", lines, PAGE)


if __name__ == "__main__":
    main()
