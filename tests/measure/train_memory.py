"""Measure the peak memory of a training by number of items and width.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.train_memory numba

It trains on synthetic logs with 2,000 and with 200,000 items, each in a new process. The result is
the increase of the largest resident set divided by the number of additional table entries.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FEW, MANY, WIDTH, USERS, EACH = 2_000, 200_000, 64, 2_000, 100
TRAIN = """
import resource, sys
from mindref.cli import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure_peak(folder: Path, backend: str, items: int) -> int:
    """Return the largest resident set of a training, in bytes (Linux)."""
    rng = np.random.default_rng(0)
    every = np.concatenate([rng.permutation(items), rng.integers(items, size=USERS * EACH)])
    rows = [f"{i % USERS}\t{item}\t{i}" for i, item in enumerate(every[: USERS * EACH])]
    log = folder / f"{items}.tsv"
    log.write_text("user\titem\ttime\n" + "\n".join(rows) + "\n", encoding="utf-8")
    arguments = ["train", "--data", log, "--out", folder / f"run-{items}", "--backend", backend]
    arguments += ["--steps", 20, "--evaluate-every", 10, "--width", WIDTH, "--quiet", "--json"]
    arguments += ["--validation-users", 50]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return 1024 * int(done.stdout.split()[-1])


def main(backend: str) -> None:
    """Print the bytes per table entry."""
    with tempfile.TemporaryDirectory() as name:
        few, many = (measure_peak(Path(name), backend, items) for items in (FEW, MANY))
    share = (many - few) / ((MANY - FEW) * WIDTH)
    print(f"{backend}: {few / 1e6:,.0f} and {many / 1e6:,.0f} MB, {share:.0f} bytes per number")


if __name__ == "__main__":
    main(sys.argv[1])
