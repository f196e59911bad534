"""Spec: specs/embedding.md. Each distinct row is read once; sums are scattered."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Any]:
    distinct, which = np.unique(rows, return_inverse=True)
    places = np.repeat(np.arange(len(rows)), rows.shape[1])
    shape = (len(rows), table.shape[1])
    # -0 is what leaves every number as it is, -0 too; an empty sum is +0
    out = np.full(shape, -0.0 if rows.shape[1] else 0.0, table.dtype)
    terms = weights.reshape(-1, 1) * table[distinct][which.reshape(-1)]
    np.add.at(out, places, terms)
    return out, (rows, weights)


def backward(d_out: Array, saved: Any) -> RowGradient:
    rows, weights = saved
    m, f = np.nonzero(weights)  # embedding-R6
    used_rows, which = np.unique(rows[m, f], return_inverse=True)  # embedding-R5
    values = np.zeros((len(used_rows), d_out.shape[1]), d_out.dtype)
    np.add.at(values, which, weights[m, f][:, None] * d_out[m])  # embedding-R3
    return RowGradient(used_rows, values)
