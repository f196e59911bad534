"""Compare the time of a step of `numba` in several trees of this project, interleaved.

    python tests/measure/compare_trees.py --batch 256 TREE TREE ...

Each tree runs in a separate process, which times a burst of steps in every round. The output is the
median of the burst medians, and the median ratio to the first tree of the same round. The load of
the machine changes both between runs. Several runs are better than one run with more rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

STEPS, WARM_UP_SECONDS = 12_800, 0.05  # examples per burst; seconds of warm-up steps


def time_bursts(batch: int, threads: int) -> None:
    """Time a burst of steps for each input line; print the median time of a step."""
    import mindref
    from mindref.bench import contenders
    from mindref.bench.workload import Workload, WorkloadSettings

    source = Path(mindref.__file__).resolve()
    assert source.is_relative_to(os.environ["PYTHONPATH"]), f"no mindref in the tree: {source}"
    workload = Workload(WorkloadSettings(batch=batch, threads=threads))
    contender = contenders.make_contender("numba", workload)
    for number in range(16):
        contender.step(number % 8)
    print("ready", flush=True)
    for _ in sys.stdin:
        started, taken = time.perf_counter(), []
        while time.perf_counter() - started < WARM_UP_SECONDS:
            contender.step(0)
        for number in range(max(10, STEPS // batch)):
            before = time.perf_counter()
            contender.step(number % 8)
            taken.append(time.perf_counter() - before)
        print(np.median(taken) * 1e3, flush=True)


def start_process(tree: Path, batch: int, threads: int) -> subprocess.Popen[str]:
    """Start a process that imports mindref from a tree."""
    settings = {"PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    settings["MINDREF_THREADS"] = str(threads)
    words = [sys.executable, "-P", __file__, "--serve", "--batch", batch, "--threads", threads]
    pipe: Any = subprocess.PIPE
    started = subprocess.Popen(
        [*map(str, words)], env={**os.environ, **settings}, stdin=pipe, stdout=pipe, text=True
    )
    assert cast(IO[str], started.stdout).readline() == "ready\n"
    return started


def measure_step(process: subprocess.Popen[str]) -> float:
    """Time a burst; return the milliseconds of a step."""
    commands, answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
    commands.write("\n")
    commands.flush()
    return float(answers.readline())


def main() -> None:
    """Time all trees in each round, with a different first tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("trees", nargs="*", type=Path)
    options = parser.parse_args()
    if options.serve:
        time_bursts(options.batch, options.threads)
        return
    trees, numbers = (tree.resolve() for tree in options.trees), (options.batch, options.threads)
    processes = [start_process(tree, *numbers) for tree in trees]
    milliseconds = np.zeros((len(processes), options.rounds))
    for round_index in range(options.rounds):
        for n in np.roll(np.arange(len(processes)), round_index):
            milliseconds[n, round_index] = measure_step(processes[n])
    for process in processes:
        process.kill()
    for tree, times in zip(options.trees, milliseconds, strict=True):
        low, half, high = np.quantile(times / milliseconds[0], (0.25, 0.5, 0.75))
        print(f"{tree}: {np.median(times):.2f} ms, {half:.3f} [{low:.3f}, {high:.3f}] times")


if __name__ == "__main__":
    main()
