"""Measure the traffic between the processes of distributed training, and compare with the formula.

    pip install ./backends/torch
    OPENBLAS_NUM_THREADS=1 python -m tests.measure.distributed_traffic 2

It counts the bytes of the loopback device (Linux) in trainings of 50 and of 150 steps on the
built-in catalogue. The difference is the traffic of 100 steps. No other program may use the device.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mindref.models.parameters import flatten
from mindref.recommender.trainer import resume_run
from mindref.training.batch_loader import BatchLoader

FEW, MANY = 50, 150  # steps


def loopback_bytes() -> int:
    """Return the number of bytes sent over the loopback device."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def measure_training(run: Path, processes: str, steps: int) -> int:
    """Train; return the number of bytes sent."""
    before = loopback_bytes()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes]
    words = ["-m", "mindref", "train", "--backend", "torch", "--quiet", "--out", str(run)]
    words += ["--steps", str(steps), "--evaluate-every", str(steps)]
    subprocess.run([*launch, *words], check=True, capture_output=True)
    return loopback_bytes() - before


def predict_bytes(run: Path, processes: int) -> float:
    """Return 2 (N - 1) 4 (R d + P): bytes that N processes send per step."""
    trainer = resume_run(run)
    loader = BatchLoader(trainer.prepared.task, trainer.config)
    rows = []
    for step in range(FEW, MANY):
        batch = loader.batch(step)
        seen = batch.histories.items[batch.histories.mask]
        rows.append(len(np.unique(np.concatenate([seen, batch.target, batch.negatives]))))
    parameters = flatten(trainer.state.params)
    dense = sum(x.size for name, x in parameters.items() if name not in ("items", "profile"))
    numbers = float(np.mean(rows)) * trainer.config.width + dense + 1
    return 2 * (processes - 1) * 4 * numbers


def main(processes: str) -> None:
    """Print the measured and the predicted bytes per step."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (Path(folder) / str(steps) for steps in (FEW, MANY))
        sent = [
            measure_training(run, processes, steps) for run, steps in ((few, FEW), (many, MANY))
        ]
        measured = (sent[1] - sent[0]) / (MANY - FEW)
        expected = predict_bytes(few, int(processes))
        print(f"{measured / 1e3:,.0f} kB a step, predicted {expected / 1e3:,.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
