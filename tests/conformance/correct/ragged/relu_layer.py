"""Spec: specs/relu_layer.md. The bias as one more row of the weight, met by a column of ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array


def forward(x: Array, weight: Array, bias: Array, *, relu: bool) -> tuple[Array, Any]:
    widened = np.hstack([np.ones((len(x), 1), x.dtype), x])
    matrix = np.vstack([bias, weight])
    out = np.dot(widened, matrix)
    if relu:
        out[out < 0] = 0  # NaN stays: relu_layer-R7
    return out, (widened, matrix, out, relu)


def backward(d_out: Array, saved: Any) -> tuple[Array, Array, Array]:
    widened, matrix, out, relu = saved
    d_sum = np.where(out == 0, 0, d_out).astype(d_out.dtype) if relu else d_out  # relu_layer-R3
    d_matrix = np.dot(widened.T, d_sum)
    return np.dot(d_sum, matrix[1:].T), d_matrix[1:], d_matrix[0]
