"""Chance: a uniformly random order of the catalogue for each history.

Spec: specs/baselines.md. Unlike mindref.evaluation.top_n.random, the order depends on the history
and the seed only, so that a saved model returns the same list each time.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.streams import stream
from mindref.models.parameters import Sizes
from mindref.shapes import Array


def fit(sequences: Ragged, sizes: Sizes, config: Config) -> dict[str, Any]:
    """Return the number of items (): there is nothing else to know."""
    return {"count": np.array(sizes.items)}


def scores(arrays: dict[str, Any], histories: Ragged, config: Config) -> Array:
    """Return uniform random numbers (C, N) in [0, 1), float64, of config.seed and the history."""
    found = np.empty((len(histories), int(arrays["count"])))
    for at in range(len(histories)):
        history = histories.row(at).astype("<i8").tobytes()
        digest = hashlib.sha256(history).digest()  # the same on every machine
        index = int.from_bytes(digest[:4], "little")
        found[at] = stream(config.seed, "baseline", index).random(found.shape[1])  # baselines-R8
    return found
