"""Random generators by seed, purpose and index, so that no draw depends on earlier draws.

Spec: specs/data.md, Samples. Training step t uses the generator of (seed, "batch", t). So a run
that is stopped and resumed trains on the same batches as an uninterrupted run.
"""

from __future__ import annotations

import numpy as np

PURPOSES = (
    "parameters", "split", "batch", "serving", "bootstrap", "baseline", "validation",
    "probe", "study",
)  # fmt: skip


def make_rng(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return a new generator for a seed, a purpose of `PURPOSES` and an index."""
    low, high = seed & 0xFFFFFFFF, seed >> 32  # words of fixed width: no two seeds collide
    return np.random.default_rng([low, PURPOSES.index(purpose), index, high])  # data-R68
