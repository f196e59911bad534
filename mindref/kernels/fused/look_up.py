"""The vectors of items, from the catalogue and the table, in one pass.

Spec: specs/embedding.md, specs/model.md (model-R1). The function `pool` of `kernels/embedding.py`
with the look-up in the catalogue, for items that the catalogue has.
"""

from __future__ import annotations

from mindref.kernels._jit import jit
from mindref.shapes import Array, Ints


@jit
def look_up(
    rows: Ints,
    weights: Array,
    items: Ints,
    table: Array,
    own_rows: Ints,
    own_weights: Array,
    vectors: Array,
) -> bool:
    """Write rows, weights (M, F) and vectors (M, D) of items (M,); false if a row is not there.

    Rows and weights (N, F) are the catalogue. The rows are written, whatever is found in them.
    """
    count, width = own_rows.shape[0], vectors.shape[1]
    fits = True
    for m in range(count):
        for f in range(rows.shape[1]):
            row = rows[items[m], f]
            own_rows[m, f], own_weights[m, f] = row, weights[items[m], f]
            fits = fits and 0 <= row < table.shape[0]
    if not fits:
        return False
    vectors[:] = 0
    for m in range(count):
        for f in range(rows.shape[1]):
            row, weight = own_rows[m, f], own_weights[m, f]
            for d in range(width):
                vectors[m, d] += weight * table[row, d]
    return True
