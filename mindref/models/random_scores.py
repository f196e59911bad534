"""Random scores: a uniformly random order of the catalogue for each history.

Spec: specs/baselines.md. The order depends only on history and seed. A saved model therefore
returns the same list each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.models.family import FittedFamily
from mindref.models.parameters import FittedParams, Sizes, check_shapes
from mindref.shapes import Array


def fit_random_scores(sequences: Ragged, sizes: Sizes, config: Config) -> FittedParams:
    """Return the number of items (), the only parameter."""
    return {"count": np.array(sizes.items)}


def draw_random_scores(arrays: FittedParams, histories: Ragged, config: Config) -> Array:
    """Return uniform random numbers (C, N) in [0, 1), float64, of config.seed and the history."""
    item_scores = np.empty((len(histories), int(arrays["count"])))
    for case in range(len(histories)):
        history = histories.row(case).astype("<i8").tobytes()
        digest = hashlib.sha256(history).digest()  # the same on every machine
        index = int.from_bytes(digest[:4], "little")
        # baselines-R8
        item_scores[case] = make_rng(config.seed, "baseline", index).random(item_scores.shape[1])
    return item_scores


def check_item_count(arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless the array is the number of items."""
    check_shapes(arrays, {"count": ()})
    if int(arrays["count"]) != items:
        raise ValueError(f"a count of {int(arrays['count'])}, not {items}")


FAMILY = FittedFamily(
    name="random", fit=fit_random_scores, scores=draw_random_scores, check_arrays=check_item_count
)
