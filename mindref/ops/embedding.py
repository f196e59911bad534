"""Embedding: the vector of an item is a weighted sum of rows of one table.

Spec: specs/embedding.md. Source: Li et al., CIKM 2019, embedding and pooling layer.
Difference: the weights are an argument. Weights 1/n give the mean of the n rows of a feature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.shapes import Array, Ints, bind_axes, common_float_dtype


class RowGradient(NamedTuple):
    """The gradient of a table. Table rows that are not in `rows` have gradient zero."""

    rows: Ints  # (R,) distinct, ascending
    values: Array  # (R, D)

    def dense(self, count: int) -> Array:
        """Return the gradient of the whole table, which has `count` rows."""
        table = np.zeros((count, self.values.shape[1]), self.values.dtype)
        table[self.rows] = self.values
        return table


class Saved(NamedTuple):
    """The values that `backward` reads. The gradient does not depend on the values of the table."""

    rows: Ints  # (M, F)
    weights: Array  # (M, F)
    width: int  # D


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Saved]:
    """Return sums of table rows (M, D): out[m] = sum_f weights[m, f] * table[rows[m, f]].

    table (V, D) float; rows (M, F) integers in [0, V); weights (M, F) >= 0, of the table's dtype.
    If F and all weights are 1, out[m] is table row rows[m, 0]. Raises ShapeError if shapes or
    dtypes disagree, if a row index is outside the table, or if rows are not integers.
    """
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])
    if sizes["F"] == 1:  # embedding-R2: the sum is one row times its weight
        out = table[rows[:, 0]] * weights  # 1, 2, embedding-R2 (M, D)
    else:
        out = np.einsum("mf,mfd->md", weights, table[rows])  # 1, 2, embedding-R1 (M, D)
    return out, Saved(rows, weights, sizes["D"])


def backward(d_out: Array, saved: Saved) -> RowGradient:
    """Return the gradient of the table: weights[m, f] * d_out[m] is added to row rows[m, f].

    The result omits rows whose weights are all zero, because the optimiser updates each row in it.
    """
    rows, weights, width = saved
    d_rows = weights[:, :, None] * d_out[:, None, :]  # 2 (M, F, D)
    used = weights != 0  # embedding-R6 (M, F)
    if used.all():
        return sum_rows(rows.reshape(-1), d_rows.reshape(rows.size, width))  # 1, embedding-R3
    return sum_rows(rows[used], d_rows[used])  # 1, embedding-R3


def sum_rows(rows: Ints, values: Array) -> RowGradient:
    """Return for each distinct index in `rows` (M,), ascending, the sum of its `values` (M, D)."""
    order = np.argsort(rows, kind="stable")  # numerics-R8: a fixed order of summation
    ordered = rows[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))  # embedding-R5: start of each distinct row
    if len(first) == 0:
        return RowGradient(ordered, values)
    return RowGradient(ordered[first], np.add.reduceat(values[order], first, axis=0))


def sum_uses(*uses: RowGradient) -> RowGradient:
    """Return the sum of `uses`: gradients of one table, one for each place that uses the table."""
    rows = np.concatenate([use.rows for use in uses])
    return sum_rows(rows, np.concatenate([use.values for use in uses]))


def check_row_indices(operator: str, rows: Ints, count: int) -> None:
    """Raise ShapeError unless rows are integers in [0, count)."""
    if not np.issubdtype(rows.dtype, np.integer):
        raise ShapeError(say(f"{operator}: rows", "integers", rows.dtype))  # embedding-R7
    if rows.size and (rows.min() < 0 or rows.max() >= count):  # embedding-R4, notation-R5
        invalid = rows.min() if rows.min() < 0 else rows.max()
        raise ShapeError(say(f"{operator}: rows", f"indices from 0 to {count - 1}", int(invalid)))
