"""Popularity: the items with the most training interactions, the same for every user.

Spec: specs/baselines.md. The order is that of mindref.recommender.baselines.popularity_top_n. As a
model family, it can be trained, saved, used for recall and compared.
"""

from __future__ import annotations

import numpy as np

from mindref.config import Config
from mindref.data.examples import count_items
from mindref.data.log import Ragged
from mindref.models.family import FittedFamily
from mindref.models.parameters import FittedParams, Sizes, check_shapes
from mindref.shapes import Array, Bools, Ints


def fit_popularity(sequences: Ragged, sizes: Sizes, config: Config) -> FittedParams:
    """Return the number of training interactions of each item, counts (N,)."""
    return {"counts": count_items(sequences, sizes.items)}


def popularity_order(counts: Ints) -> Ints:
    """Return the items of counts (N,) from the most popular one on; ties by the lower id."""
    return np.argsort(-counts, kind="stable")


def count_vectors(arrays: FittedParams) -> Array:
    """Return the counts as vectors of one number (N, 1), float64: exact up to 2^53."""
    return np.ascontiguousarray(arrays["counts"][:, None], np.float64)  # baselines-R7


def constant_interests(
    arrays: FittedParams, histories: Ragged, config: Config
) -> tuple[Array, Bools]:
    """Return vectors of one (C, 1, 1), float64, and active (C, 1), all true."""
    return np.ones((len(histories), 1, 1)), np.ones((len(histories), 1), np.bool_)


FAMILY = FittedFamily(
    name="popularity",
    fit=fit_popularity,
    interests=constant_interests,
    items=count_vectors,
    check_arrays=lambda arrays, items: check_shapes(arrays, {"counts": (items,)}),
)
