"""Spec: specs/relu_layer.md. One row, one output after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array
from tests.conformance.correct import checks
from tests.conformance.correct.loops.sums import dot, total


def forward(x: Array, weight: Array, bias: Array, *, relu: bool) -> tuple[Array, Any]:
    checks.relu_layer(x, weight, bias)
    out = np.zeros((len(x), len(bias)), x.dtype)
    for m, o in np.ndindex(out.shape):
        out[m, o] = dot(x[m], weight[:, o]) + bias[o]
    stopped = np.zeros(out.shape, bool)
    if relu:
        stopped = out <= 0  # relu_layer-R3; no comparison with NaN holds: relu_layer-R7
        out[stopped] = 0
    return out, (x, weight, stopped)


def backward(d_out: Array, saved: Any) -> tuple[Array, Array, Array]:
    x, weight, stopped = saved
    d_sum = d_out.copy()
    d_sum[stopped] = 0
    d_x, d_weight = np.zeros_like(x), np.zeros_like(weight)
    for m, i in np.ndindex(d_x.shape):
        d_x[m, i] = dot(d_sum[m], weight[i])
    for i, o in np.ndindex(d_weight.shape):
        d_weight[i, o] = dot(x[:, i], d_sum[:, o])
    return d_x, d_weight, total(d_sum, np.zeros_like(weight[0], shape=weight.shape[1:]))
