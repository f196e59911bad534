"""Vectors of items: a weighted mean of rows of one table.

Spec: specs/embedding.md. Source: Li et al., CIKM 2019, embedding and pooling layer.
Differs: the pooling weights are an argument, so a field of several values counts as one field.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.record import Record
from mindref.shapes import Array, Ints, bind, same_float


class RowGradient(NamedTuple):
    """A gradient of a table, zero but for the rows named."""

    rows: Ints  # (R,) distinct, ascending
    values: Array  # (R, D)

    def dense(self, count: int) -> Array:
        """Return the same gradient as a whole table of `count` rows."""
        table = np.zeros((count, self.values.shape[1]), self.values.dtype)
        table[self.rows] = self.values
        return table


class Saved(NamedTuple):
    """The table itself is not kept: its gradient does not depend on its values."""

    rows: Ints  # (M, F)
    weights: Array  # (M, F)
    width: int  # D


def forward(
    table: Array, rows: Ints, weights: Array, *, record: Record | None = None
) -> tuple[Array, Saved]:
    """Map rows to weighted sums of them: out[m] = sum_f weights[m, f] table[rows[m, f]].

    table (V, D) float; rows (M, F) integers in [0, V); weights (M, F) >= 0, of the table's type,
    rows of ones for a plain gather. Returns (M, D). Raises ShapeError for shapes that disagree,
    for a row outside the table and for rows that are no integers.
    """
    sizes = bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    same_float("embedding", table=table, weights=weights)
    check_rows("embedding", rows, sizes["V"])
    if sizes["F"] == 1:  # embedding-R2: one row of weight w is that row times w
        out = table[rows[:, 0]] * weights  # 1, 2 (M, D)
    else:
        out = np.einsum("mf,mfd->md", weights, table[rows])  # 1, 2, embedding-R1 (M, D)
    if record is not None:
        record("lookup", rows=rows, looked_up=table[rows], weights=weights, out=out)
    return out, Saved(rows, weights, sizes["D"])


def backward(d_out: Array, saved: Saved) -> RowGradient:
    """Scatter-add d_out (M, D) to the rows it came from; a row used twice gets the sum.

    A row that was only ever used with weight zero is not named: a lazy optimiser leaves it alone.
    """
    rows, weights, width = saved
    d_rows = weights[:, :, None] * d_out[:, None, :]  # 2 (M, F, D)
    used = weights != 0  # embedding-R6 (M, F)
    if used.all():
        return sum_rows(rows.reshape(-1), d_rows.reshape(-1, width))  # 1, embedding-R3
    return sum_rows(rows[used], d_rows[used])  # 1, embedding-R3


def sum_rows(rows: Ints, values: Array) -> RowGradient:
    """Add up the values (M, D) that share a row: one entry per distinct row, in stable order."""
    order = np.argsort(rows, kind="stable")  # numerics-R8: always added up in this order
    ordered = rows[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))  # embedding-R5: where a new row begins
    if len(first) == 0:
        return RowGradient(ordered, values)
    return RowGradient(ordered[first], np.add.reduceat(values[order], first, axis=0))


def sum_uses(*uses: RowGradient) -> RowGradient:
    """Return the gradient of a table that is used several times: the sum of that of each use."""
    rows = np.concatenate([use.rows for use in uses])
    return sum_rows(rows, np.concatenate([use.values for use in uses]))


def check_rows(where: str, rows: Ints, count: int) -> None:
    """Raise ShapeError unless rows are integers in [0, count)."""
    if not np.issubdtype(rows.dtype, np.integer):
        raise ShapeError(say(f"{where}: rows", "integers", rows.dtype))  # embedding-R7
    if rows.size and (rows.min() < 0 or rows.max() >= count):  # embedding-R4, notation-R5
        worst = rows.min() if rows.min() < 0 else rows.max()
        raise ShapeError(say(f"{where}: rows", f"indices from 0 to {count - 1}", int(worst)))
