"""A linear layer with bias, with or without a ReLU.

Spec: specs/relu_layer.md. Source: Li et al., CIKM 2019, Fig. 2 (several ReLU layers).
Difference: the paper has a ReLU after each layer. By default our models have no ReLU after the last
layer (`relu=False`), because they are then more accurate (specs/evidence.md, settings of MIND).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, bind_axes, common_float_dtype


class Saved(NamedTuple):
    """The values that `backward` reads: input, weight, and where the ReLU is not zero."""

    x: Array  # (M, I)
    weight: Array  # (I, O)
    passed: Bools | None  # (M, O) where the output is positive or NaN; None without a ReLU


def forward(x: Array, weight: Array, bias: Array, *, relu: bool) -> tuple[Array, Saved]:
    """Return max(0, x @ weight + bias) (M, O). If `relu` is false, return x @ weight + bias.

    x (M, I), weight (I, O), bias (O,), all of one dtype. Raises ShapeError if shapes or dtypes
    disagree.
    """
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    out = x @ weight + bias  # 1, relu_layer-R1
    if not relu:
        return out, Saved(x, weight, None)
    passed = ~(out <= 0)  # relu_layer-R3: ReLU has slope 0 at 0; relu_layer-R7: NaN passes
    rectified = np.maximum(out, 0)  # 2, relu_layer-R2
    return rectified, Saved(x, weight, passed)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_x (M, I), d_weight (I, O), d_bias (O,)."""
    x, weight, passed = saved
    d_sum = d_out if passed is None else np.where(passed, d_out, 0)  # 2
    d_x, d_weight, d_bias = d_sum @ weight.T, x.T @ d_sum, d_sum.sum(axis=0)  # 1, relu_layer-R4
    return d_x, d_weight, d_bias
