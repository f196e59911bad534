"""How long a step of `numba` takes in several trees of this project, in turns.

    python tests/measure/compare_trees.py --batch 256 TREE TREE ...

Each tree has a process of its own, which is asked for a burst of steps in every round; printed are
the median of its medians, and that of the ratios to the first tree in the same round. Neighbours
make either differ from run to run: several runs say more than one with more rounds.
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

STEPS, LEAD = 12_800, 0.05  # examples of a burst; seconds of steps before it


def serve(batch: int, threads: int) -> None:
    """Take a burst of steps for each line that is read; print the median time of one."""
    import mindref
    from mindref.bench import contenders
    from mindref.bench.workload import WorkloadSettings, Workload

    there = Path(mindref.__file__).resolve()
    assert there.is_relative_to(os.environ["PYTHONPATH"]), f"a tree without mindref: found {there}"
    subject = contenders.make_contender("numba", Workload(WorkloadSettings(batch=batch, threads=threads)))
    for number in range(16):
        subject.step(number % 8)
    print("ready", flush=True)
    for _ in sys.stdin:
        started, taken = time.perf_counter(), []
        while time.perf_counter() - started < LEAD:
            subject.step(0)
        for number in range(max(10, STEPS // batch)):
            before = time.perf_counter()
            subject.step(number % 8)
            taken.append(time.perf_counter() - before)
        print(np.median(taken) * 1e3, flush=True)


def process(tree: Path, batch: int, threads: int) -> subprocess.Popen[str]:
    """Start a process with the mindref of a tree."""
    mine = {"PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", "MINDREF_THREADS": str(threads)}
    words = [sys.executable, "-P", __file__, "--serve", "--batch", batch, "--threads", threads]
    pipe: Any = subprocess.PIPE
    started = subprocess.Popen(
        [*map(str, words)], env={**os.environ, **mine}, stdin=pipe, stdout=pipe, text=True
    )
    assert cast(IO[str], started.stdout).readline() == "ready\n"
    return started


def ask(one: subprocess.Popen[str]) -> float:
    """Return the milliseconds of a step."""
    commands, answers = cast(IO[str], one.stdin), cast(IO[str], one.stdout)
    commands.write("\n")
    commands.flush()
    return float(answers.readline())


def main() -> None:
    """Ask all in turns, another one first in each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("trees", nargs="*", type=Path)
    given = parser.parse_args()
    if given.serve:
        serve(given.batch, given.threads)
        return
    all_of_them = [process(tree.resolve(), given.batch, given.threads) for tree in given.trees]
    found = np.zeros((len(all_of_them), given.iterations))
    for turn in range(given.iterations):
        for n in np.roll(np.arange(len(all_of_them)), turn):
            found[n, turn] = ask(all_of_them[n])
    for one in all_of_them:
        one.kill()
    for tree, times in zip(given.trees, found, strict=True):
        low, half, high = np.quantile(times / found[0], (0.25, 0.5, 0.75))
        print(f"{tree}: {np.median(times):.2f} ms, {half:.3f} [{low:.3f}, {high:.3f}] times")


if __name__ == "__main__":
    main()
