"""Spec: specs/embedding.md. One row after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from tests.conformance.correct import checks
from tests.conformance.correct.loops.sums import weighted


def forward(table: Array, rows: Ints, weights: Array) -> tuple[Array, Any]:
    checks.embedding(table, rows, weights)
    out = np.zeros((len(rows), table.shape[1]), table.dtype)
    for m in range(len(rows)):
        out[m] = weighted(weights[m], table[rows[m]], out[m])
    return out, (rows, weights)


def backward(d_out: Array, saved: Any) -> RowGradient:
    rows, weights = saved
    sums: dict[int, Array] = {}
    for m, f in zip(*np.nonzero(weights), strict=True):  # embedding-R6
        row, share = int(rows[m, f]), weights[m, f] * d_out[m]
        sums[row] = sums[row] + share if row in sums else share  # embedding-R3
    named = sorted(sums)  # embedding-R5
    values = np.array([sums[row] for row in named], d_out.dtype)
    return RowGradient(np.array(named, np.int64), values.reshape(len(named), d_out.shape[1]))
