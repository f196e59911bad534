"""Spec: specs/relu_layer.md. The bias first, then the products from the last to the first."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, bind_axes, common_float_dtype
from tests.conformance.correct.sums import contract, total


def check_inputs(x: Any, weight: Any, bias: Any, *, relu: bool) -> None:
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)


def forward(x: Array, weight: Array, bias: Array, *, relu: bool) -> tuple[Array, Any]:
    out = bias + contract("mi,io->mo", x, weight)
    passed = (out > 0) | np.isnan(out) | (not relu)  # relu_layer-R3, R7
    return np.where(passed, out, 0).astype(x.dtype), (x, weight, passed)


def backward(d_out: Array, saved: Any) -> tuple[Array, Array, Array]:
    x, weight, passed = saved
    d_sum = np.where(passed, d_out, 0).astype(d_out.dtype)
    d_x, d_weight = contract("mo,io->mi", d_sum, weight), contract("mo,mi->io", d_sum, x)
    return d_x, d_weight, total(d_sum, 0)
