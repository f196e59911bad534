"""What travels between the processes of a shared training, beside what the formula says.

    pip install ./backends/torch
    OPENBLAS_NUM_THREADS=1 python -m tests.field.shared_traffic 2

Counts the bytes of the loopback device (Linux) in trainings of 50 and of 150 steps on the built-in
catalogue: the difference is that of 100 steps. Nothing else may talk over it meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mindref.models.parameters import flatten
from mindref.recommender.run import resume
from mindref.training.batch_loader import Feed

FEW, MANY = 50, 150  # steps


def carried() -> int:
    """Return the bytes that the loopback device has carried so far."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def trained(run: Path, processes: str, steps: int) -> int:
    """Train; return the bytes that travelled."""
    before = carried()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes]
    words = ["-m", "mindref", "train", "--backend", "torch", "--quiet", "--out", str(run)]
    words += ["--steps", str(steps), "--evaluate-every", str(steps)]
    subprocess.run([*launch, *words], check=True, capture_output=True)
    return carried() - before


def predicted(run: Path, processes: int) -> float:
    """Return 2 (N - 1) 4 (R d + P) bytes a step: what N processes send of one sum, in all."""
    trainer = resume(run)
    feed = Feed(trainer.prepared.task, trainer.config)
    rows = []
    for step in range(FEW, MANY):
        batch = feed.batch(step)
        seen = batch.histories.items[batch.histories.mask]
        rows.append(len(np.unique(np.concatenate([seen, batch.target, batch.negatives]))))
    named = flatten(trainer.state.params)
    dense = sum(x.size for name, x in named.items() if name not in ("items", "profile"))
    numbers = float(np.mean(rows)) * trainer.config.width + dense + 1
    return 2 * (processes - 1) * 4 * numbers


def main(processes: str) -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (Path(folder) / str(steps) for steps in (FEW, MANY))
        sent = [trained(run, processes, steps) for run, steps in ((few, FEW), (many, MANY))]
        measured = (sent[1] - sent[0]) / (MANY - FEW)
        told = predicted(few, int(processes))
        print(f"{measured / 1e3:,.0f} kB a step, predicted {told / 1e3:,.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
