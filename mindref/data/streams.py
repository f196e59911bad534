"""Random streams by purpose and index, so that nothing random depends on what ran before it.

Spec: specs/data.md, Samples. A training step draws from (seed, "batch", step) alone: a run that is
stopped and resumed sees the same batches as one that is not.
"""

from __future__ import annotations

import numpy as np

PURPOSES = (
    "parameters",
    "split",
    "batch",
    "serving",
    "bootstrap",
    "baseline",
    "validation",
    "probe",
    "study",
)


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return a fresh generator for this seed, purpose and index: the same three, the same draws."""
    low, high = seed & 0xFFFFFFFF, seed >> 32  # words of fixed width: no two seeds meet
    return np.random.default_rng([low, PURPOSES.index(purpose), index, high])  # data-R68
