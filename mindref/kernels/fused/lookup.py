"""Compiled lookup of item vectors: weighted sums of the table rows that the catalogue lists.

Spec: specs/embedding.md, specs/model.md (model-R1). Each item must be in the catalogue.
"""

from __future__ import annotations

from mindref.kernels._jit import jit
from mindref.kernels.embedding import sum_weighted_rows
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.shapes import Array, Ints


@jit
def look_up_items(
    catalogue_rows: Ints,
    catalogue_weights: Array,
    items: Ints,
    table: Array,
    rows: Ints,
    weights: Array,
    vectors: Array,
) -> tuple[bool, bool]:
    """For items (M,), write their table rows and weights (M, F), and their vectors (M, D).

    Returns two flags: whether all rows are in the table, and whether each item i has only one table
    row, row i, with weight 1. catalogue_rows and catalogue_weights (N, F): the table rows of each
    item of the catalogue, and the weights of these rows. If a row is not in the table, rows are
    written, but vectors are not.
    """
    valid, identity = copy_catalogue_rows(
        catalogue_rows, catalogue_weights, items, len(table), rows, weights
    )
    if valid:
        sum_weighted_rows(table, rows, weights, vectors)
    return valid, identity


@jit
def copy_catalogue_rows(
    catalogue_rows: Ints,
    catalogue_weights: Array,
    items: Ints,
    table_size: int,
    rows: Ints,
    weights: Array,
) -> tuple[bool, bool]:
    """Write table rows and weights (M, F) of items (M,); return the flags of `look_up_items`."""
    valid, identity, count = True, catalogue_rows.shape[1] == 1, rows.shape[0]
    for m in range(count):
        if m + DISTANCE < count:
            prefetch_row(catalogue_rows, items[m + DISTANCE])
            prefetch_row(catalogue_weights, items[m + DISTANCE])
        for f in range(catalogue_rows.shape[1]):
            row, weight = catalogue_rows[items[m], f], catalogue_weights[items[m], f]
            rows[m, f], weights[m, f] = row, weight
            valid = valid and 0 <= row < table_size
            identity = identity and row == items[m] and weight == 1
    return valid, identity
