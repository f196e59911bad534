"""Who met what, as a sparse matrix: what the baselines are fitted on, and what they are asked with.

Spec: specs/baselines.md. Item k-nearest-neighbours and alternating least squares know a set of
items for each user; here a list of behaviours becomes one. The package that fits them is asked for
here, too, and only when something is fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from scipy import sparse

from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.ops.embedding import check_row_indices

TODO = "pip install 'mindref[baselines]'"


def interaction_weights(rows: Ragged, items: int, *, decay: float = 1.0) -> Any:
    """Return a sparse matrix (R, N) of float64: decay^r where an item stands in a row, else zero.

    An item that stands there several times counts once, at its last place; r is how many
    behaviours follow it in the row. decay in (0, 1]: 1 weighs all alike. Column ids ascend in a
    row. Raises ShapeError for an item outside the catalogue, ConfigError for the decay.
    """
    check_row_indices("items", rows.values, items)  # baselines-R5
    if not 0 < decay <= 1:
        raise ConfigError(say("decay", "a number above 0 and at most 1", decay))
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    keys = (row * items + rows.values)[::-1]
    keys, first = np.unique(keys, return_index=True)  # baselines-R3: of equal ones the last
    since = (rows.offsets[1:][row] - 1 - np.arange(len(row)))[::-1][first]
    values = np.power(decay, since.astype(np.float64))  # baselines-R6
    coordinates = (keys // items, keys % items)
    return sparse.csr_matrix((values, coordinates), shape=(len(rows), items))


def import_implicit(part: str) -> Any:
    """Return a module of the package `implicit`. Raises ConfigError where it is not installed."""
    try:
        return import_module(f"implicit.{part}")
    except ImportError as error:  # baselines-R4
        expected = "the package implicit, which fits item_knn and wals"
        raise ConfigError(say("model", expected, "none installed", TODO)) from error


def require_library() -> None:
    """Raise ConfigError where the package `implicit` is not installed."""
    import_implicit("nearest_neighbours")  # baselines-R4


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the matrix products of a fit have one thread, and its advice on speed go unheard.

    Sums of several threads come in another order on another machine (baselines-R1).
    """
    limits = import_module("threadpoolctl").threadpool_limits  # implicit brings it
    with limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
