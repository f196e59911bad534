"""Compiled embedding lookup: out[m, d] = sum_f weights[m, f] table[rows[m, f], d].

Spec: specs/embedding.md, specs/model.md (model-R1).
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.contiguous import contiguous_integers, readonly_contiguous
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.ops.embedding import RowGradient, Saved, check_row_indices
from mindref.shapes import Array, Ints, bind_axes, common_float_dtype, require_gradient_shape


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Saved]:
    """Return weighted sums of table rows (M, D); see `mindref.ops.embedding.forward`."""
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])
    out = np.empty((sizes["M"], sizes["D"]), table.dtype)
    weights = readonly_contiguous(weights)
    sum_weighted_rows(readonly_contiguous(table), contiguous_integers(rows), weights, out)
    return out, Saved(rows, weights, sizes["D"])


def backward(d_out: Array, saved: Saved) -> RowGradient:
    """Return the gradient of the table: rows and values; rows of weight zero are left out."""
    rows, weights, width = saved
    require_gradient_shape("embedding", d_out, (len(rows), width))
    terms = np.flatnonzero(weights)  # m F + f, embedding-R6
    term_rows = rows.reshape(-1)[terms]
    d_out = readonly_contiguous(d_out)
    order = np.argsort(term_rows, kind="stable")
    starts = np.flatnonzero(np.diff(term_rows[order], prepend=-1))
    values = np.zeros((len(starts), width), d_out.dtype)
    bounds = np.append(starts, len(order))
    scatter_add_rows(d_out, weights.reshape(-1), terms[order], bounds, rows.shape[1], values)
    return RowGradient(term_rows[order][starts], values)


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
    item of the catalogue, and the weights of these rows. Each item must be in the catalogue. If a
    row is not in the table, rows are written, but vectors are not.
    """
    valid, identity, count = True, catalogue_rows.shape[1] == 1, rows.shape[0]
    for m in range(count):
        if m + DISTANCE < count:
            prefetch_row(catalogue_rows, items[m + DISTANCE])
            prefetch_row(catalogue_weights, items[m + DISTANCE])
        for f in range(catalogue_rows.shape[1]):
            row, weight = catalogue_rows[items[m], f], catalogue_weights[items[m], f]
            rows[m, f], weights[m, f] = row, weight
            valid = valid and 0 <= row < len(table)
            identity = identity and row == items[m] and weight == 1
    if valid:
        sum_weighted_rows(table, rows, weights, vectors)  # model-R1
    return valid, identity


@jit
def sum_weighted_rows(table: Array, rows: Ints, weights: Array, out: Array) -> None:
    """Write the weighted sums into out (M, D)."""
    if rows.shape[1] == 0:
        out[:] = 0
        return
    for m in range(rows.shape[0]):
        if m + DISTANCE < rows.shape[0]:
            prefetch_row(table, rows[m + DISTANCE, 0])
        row, weight = table[rows[m, 0]], weights[m, 0]
        for d in range(out.shape[1]):
            out[m, d] = weight * row[d]
        for f in range(1, rows.shape[1]):
            row, weight = table[rows[m, f]], weights[m, f]
            for d in range(out.shape[1]):
                out[m, d] += weight * row[d]


@jit
def scatter_add_rows(
    d_out: Array, weights: Array, terms: Ints, bounds: Ints, fields: int, values: Array
) -> None:
    """Add to values (R, D) the terms bounds[r] to bounds[r + 1] of each row r, in order."""
    for r in range(len(bounds) - 1):
        for i in range(bounds[r], bounds[r + 1]):
            weight = weights[terms[i]]
            m = terms[i] // fields
            for d in range(values.shape[1]):
                values[r, d] += weight * d_out[m, d]
