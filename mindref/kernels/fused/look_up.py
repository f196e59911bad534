"""The vectors of items, from the catalogue and the table, in one pass.

Spec: specs/embedding.md, specs/model.md (model-R1). The function `pool` of `kernels/embedding.py`
with the look-up in the catalogue, for items that the catalogue has.
"""

from __future__ import annotations

from mindref.kernels._jit import jit
from mindref.kernels.ahead import AHEAD, fetch
from mindref.kernels.product import product
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
) -> tuple[bool, bool]:
    """Write rows, weights (M, F) and vectors (M, D) of items (M,).

    Returns whether all rows are there, and whether each item is the row of its own number, which
    no other item has a part of. Rows and weights (N, F) are the catalogue; the rows are written,
    whatever is found in them.
    """
    count, width = own_rows.shape[0], vectors.shape[1]
    fits, alone = take_rows(rows, weights, items, len(table), own_rows, own_weights)
    if not fits:
        return False, alone
    if rows.shape[1] == 0:
        vectors[:] = 0
        return True, alone
    for m in range(count):
        if m + AHEAD < count:
            fetch(table, own_rows[m + AHEAD, 0])
        row, weight = own_rows[m, 0], own_weights[m, 0]
        for d in range(width):
            vectors[m, d] = weight * table[row, d]
        for f in range(1, rows.shape[1]):
            row, weight = own_rows[m, f], own_weights[m, f]
            for d in range(width):
                vectors[m, d] += weight * table[row, d]
    return True, alone


@jit
def look_up_and_vote(
    rows: Ints,
    weights: Array,
    items: Ints,
    table: Array,
    own_rows: Ints,
    own_weights: Array,
    vectors: Array,
    bilinear: Array,
    votes: Array,
) -> tuple[bool, bool]:
    """Do what `look_up` does, and write the votes S e (H, D) of the first H items."""
    fits, alone = look_up(rows, weights, items, table, own_rows, own_weights, vectors)
    if fits:
        product(vectors[: len(votes)], bilinear.T, votes)  # routing-R1
    return fits, alone


@jit
def take_rows(
    rows: Ints, weights: Array, items: Ints, length: int, own_rows: Ints, own_weights: Array
) -> tuple[bool, bool]:
    """Write rows and weights (M, F) of items (M,); return what `look_up` does, of `length` rows."""
    fits, alone, count = True, rows.shape[1] == 1, own_rows.shape[0]
    for m in range(count):
        if m + AHEAD < count:
            fetch(rows, items[m + AHEAD])
            fetch(weights, items[m + AHEAD])
        for f in range(rows.shape[1]):
            row, weight = rows[items[m], f], weights[items[m], f]
            own_rows[m, f], own_weights[m, f] = row, weight
            fits = fits and 0 <= row < length
            alone = alone and row == items[m] and weight == 1
    return fits, alone
