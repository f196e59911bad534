"""Twin of `mindref.ops.embedding`: out[m, d] = sum_f weights[m, f] table[rows[m, f], d].

Spec: specs/embedding.md.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import jit
from mindref.ops.embedding import RowGradient, Saved, check_rows
from mindref.shapes import Array, Ints, bind, fits, same_float


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Saved]:
    """Map rows to weighted sums of them (M, D); see `mindref.ops.embedding.forward`."""
    sizes = bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    same_float("embedding", table=table, weights=weights)
    check_rows("embedding", rows, sizes["V"])
    out = np.empty((sizes["M"], sizes["D"]), table.dtype)
    pool(table, rows, weights, out)
    return out, Saved(rows, weights, sizes["D"])


def backward(d_out: Array, saved: Saved) -> RowGradient:
    """Scatter-add d_out (M, D) to the rows it came from; a row of weight zero is not named."""
    rows, weights, width = saved
    fits("embedding", d_out, (len(rows), width))
    terms = np.flatnonzero(weights)  # m F + f, embedding-R6
    named = rows.reshape(-1)[terms]
    order = np.argsort(named, kind="stable")
    starts = np.flatnonzero(np.diff(named[order], prepend=-1))
    values = np.zeros((len(starts), width), d_out.dtype)
    bounds = np.append(starts, len(order))
    add_up(d_out, weights.reshape(-1), terms[order], bounds, rows.shape[1], values)
    return RowGradient(named[order][starts], values)


@jit
def pool(table: Array, rows: Ints, weights: Array, out: Array) -> None:
    """Write the weighted sums into out (M, D)."""
    if rows.shape[1] == 0:
        out[:] = 0
        return
    for m in range(rows.shape[0]):
        row, weight = table[rows[m, 0]], weights[m, 0]
        for d in range(out.shape[1]):
            out[m, d] = weight * row[d]
        for f in range(1, rows.shape[1]):
            row, weight = table[rows[m, f]], weights[m, f]
            for d in range(out.shape[1]):
                out[m, d] += weight * row[d]


@jit
def add_up(
    d_out: Array, weights: Array, terms: Ints, bounds: Ints, fields: int, values: Array
) -> None:
    """Add to values (R, D) what the terms bounds[r] to bounds[r + 1] send to row r, in order."""
    for r in range(len(bounds) - 1):
        for i in range(bounds[r], bounds[r + 1]):
            weight = weights[terms[i]]
            m = terms[i] // fields
            for d in range(values.shape[1]):
                values[r, d] += weight * d_out[m, d]
