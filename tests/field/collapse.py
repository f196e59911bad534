"""Of how many behaviours the interests of a trained run consist.

    python -m tests.field.collapse RUN ...

For a run of MIND or mind_plus: the test histories of two behaviours and more are routed, and what
each interest consists of (shares a of even.py) is told: how many behaviours that is in effect,
1 / sum a^2, and for how many users a single behaviour has more than nine tenths of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mindref.models.mind_plus import ages
from mindref.models.serving import interests
from mindref.recommender.run import resume
from mindref.shapes import Array
from tests.field.even import shares

SINGLE = 0.9


def consisting(run: Path) -> tuple[Array, Array]:
    """Return the shares of behaviours in interests (C, L, K) and the histories' mask (C, L)."""
    trainer = resume(run)
    model, bench = trainer.model(), trainer.bench(trainer.prepared.split.test)
    given = (model, bench.cases.histories, bench.profiles, trainer.backend)
    found: Any = interests(*given, couplings=True)
    counted = np.where(found.mask[..., None], found.couplings, 0)
    if model.config.model == "mind_plus":
        log_weights, _ = ages.forward(model.params.positions, found.mask, model.config)
        counted *= np.exp(log_weights[..., : model.config.interests])
    return shares(counted)[0], found.mask


def main(runs: list[str]) -> None:
    """Print a line for each run."""
    for run in runs:
        found, mask = consisting(Path(run))
        found = found[mask.sum(axis=1) >= 2]
        effect = 1 / np.maximum((found**2).sum(axis=1), np.finfo(np.float32).tiny)
        has = found.any(axis=1)
        many = [float(effect[has[:, k], k].mean()) for k in range(found.shape[2])]
        alone = [
            float((found[has[:, k], :, k].max(axis=1) > SINGLE).mean()) for k in range(len(many))
        ]
        words = ", ".join(f"{x:.2f} ({y:.0%})" for x, y in zip(many, alone, strict=True))
        print(f"{run}: of {mask.sum(axis=1).mean():.1f} behaviours, in effect: {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
