"""Popularity: the items of most training interactions, the same for every user.

Spec: specs/baselines.md. The order is that of mindref.evaluation.top_n.popularity. This module
makes it a model family, which can be trained, saved, recalled from and compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.samples import item_counts
from mindref.models.parameters import Sizes
from mindref.shapes import Array, Bools


def fit(sequences: Ragged, sizes: Sizes, config: Config) -> dict[str, Any]:
    """Return how often each item stands in the training sequences, counts (N,)."""
    return {"counts": item_counts(sequences, sizes.items)}


def items(arrays: dict[str, Any]) -> Array:
    """Return the counts as vectors of one number (N, 1), float64: exact up to 2^53."""
    return np.ascontiguousarray(arrays["counts"][:, None], np.float64)  # baselines-R7


def interests(arrays: dict[str, Any], histories: Ragged, config: Config) -> tuple[Array, Bools]:
    """Return the vector one for everyone (C, 1, 1), float64, and active (C, 1), all true."""
    return np.ones((len(histories), 1, 1)), np.ones((len(histories), 1), np.bool_)
