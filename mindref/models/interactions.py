"""Interactions as a sparse matrix: input of the baselines in fitting and in serving.

Spec: specs/baselines.md. Item k-nearest-neighbours and alternating least squares use the set of
items of each user. This module converts histories into weighted sets. It also imports the package
`implicit`, which fits alternating least squares; the import happens on first use.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import numpy as np
from scipy import sparse

from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.ops.embedding import check_row_indices
from mindref.process.requirements import install_extra
from mindref.process.threads import one_blas_thread


def interaction_weights(rows: Ragged, items: int, *, decay: float = 1.0) -> sparse.csr_matrix:
    """Return a sparse matrix (R, N) of float64: decay^r if the row has the item, else zero.

    r is the number of behaviours after the last occurrence of the item; earlier occurrences are
    ignored. decay in (0, 1]; with 1 all weights are equal. Column ids ascend in a row. Raises
    ShapeError for an item outside the catalogue, ConfigError for the decay.
    """
    check_row_indices("items", rows.values, items)  # baselines-R5
    if not 0 < decay <= 1:
        raise ConfigError(say("decay", "a number above 0 and at most 1", decay))
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    keys = (row * items + rows.values)[::-1]
    keys, first = np.unique(keys, return_index=True)  # baselines-R3: the last of repeated items
    since = (rows.offsets[1:][row] - 1 - np.arange(len(row)))[::-1][first]
    values = np.power(decay, since.astype(np.float64))  # baselines-R6
    coordinates = (keys // items, keys % items)
    return sparse.csr_matrix((values, coordinates), shape=(len(rows), items))


def import_implicit(part: str) -> ModuleType:
    """Return a module of the package `implicit`. Raises ConfigError if it is not installed."""
    try:
        return import_module(f"implicit.{part}")
    except ImportError as error:  # baselines-R4
        expected = "the package implicit, which fits wals"
        raise ConfigError(
            say("model", expected, "none installed", install_extra("baselines"))
        ) from error


def require_library() -> None:
    """Raise ConfigError if the package `implicit` is not installed."""
    import_implicit("cpu.als")  # baselines-R4


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread in the block, and suppress warnings.

    With several threads the order of sums depends on the machine (baselines-R1).
    """
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
