"""Spec: specs/embedding.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from tests.conformance.independent.argument_checks import check_axes, check_floats, check_rows


class EmbeddingSaved(NamedTuple):
    rows: Ints  # (M, F)
    weights: Array  # (M, F)
    width: int


class Embedding:
    """Weighted sums of rows of a table."""

    def forward(self, table: Array, rows: Ints, weights: Array) -> tuple[Array, EmbeddingSaved]:
        check_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
        check_floats("embedding", table=table, weights=weights)
        check_rows("embedding", rows, len(table))
        return self.pool_rows(table, rows, weights), EmbeddingSaved(rows, weights, table.shape[1])

    def pool_rows(self, table: Array, rows: Ints, weights: Array) -> Array:
        count, pooled = rows.shape
        if pooled == 0:
            return np.zeros((count, table.shape[1]), table.dtype)
        out = self.gather_rows(table, rows[:, 0]) * weights[:, :1]
        for f in range(1, pooled):
            out = out + self.gather_rows(table, rows[:, f]) * weights[:, f : f + 1]
        return out

    def gather_rows(self, table: Array, rows: Ints) -> Array:
        return table[rows]

    def backward(self, d_out: Array, saved: EmbeddingSaved) -> RowGradient:
        used = saved.weights != 0
        values = (saved.weights[:, :, None] * d_out[:, None, :])[used]
        return self.sum_rows(saved.rows[used], values.reshape(-1, saved.width))

    def sum_rows(self, rows: Ints, values: Array) -> RowGradient:
        """Return the sum of the values of each distinct row, in the order of the rows."""
        distinct, index = np.unique(rows, return_inverse=True)
        total = np.zeros((len(distinct), values.shape[1]), values.dtype)
        np.add.at(total, index.reshape(-1), values)
        return RowGradient(distinct.astype(rows.dtype, copy=False), total)
