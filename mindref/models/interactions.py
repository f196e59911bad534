"""Interactions as a sparse matrix: input of the baselines in fitting and in serving.

Spec: specs/baselines.md. Item k-nearest-neighbours and alternating least squares use the set of
items of each user. This module converts histories into weighted sets.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.ops.embedding import check_row_indices


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
