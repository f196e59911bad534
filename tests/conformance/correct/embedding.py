"""Spec: specs/embedding.md. Places in reverse; the gradient as a table, then its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops.embedding import RowGradient, check_row_indices
from mindref.shapes import Array, Ints, bind_axes, common_float_dtype
from tests.conformance.correct.sums import contract


def check_inputs(table: Any, rows: Any, weights: Any) -> None:
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Any]:
    return contract("mf,mfd->md", weights, table[rows]), (rows, weights, table.shape)


def backward(d_out: Array, saved: Any) -> RowGradient:
    rows, weights, shape = saved
    m, f = np.nonzero(weights)  # embedding-R6
    dense = np.zeros(shape, d_out.dtype)
    shares = weights[m, f][:, None] * d_out[m]
    np.add.at(dense, rows[m, f][::-1], shares[::-1])  # embedding-R3
    used_rows = np.flatnonzero(np.bincount(rows[m, f], minlength=shape[0]))  # embedding-R5
    return RowGradient(used_rows, dense[used_rows])
