"""An affine map, with or without the rectifier after it.

Spec: specs/relu_layer.md. Source: Li et al., CIKM 2019, Fig. 2 (several ReLU layers).
Differs: `relu=False` leaves the last layer linear, which is the default as it does better (README,
MovieLens-1M: the row `--last-relu`); the paper's reading is `relu=True` for every layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.record import Record
from mindref.shapes import Array, Bools, bind, same_float


class Saved(NamedTuple):
    """Input and weight, as both enter the gradient of the other; the sign of the output."""

    x: Array  # (M, I)
    weight: Array  # (I, O)
    passed: Bools | None  # (M, O) where the rectifier let through; None for a linear layer


def forward(
    x: Array, weight: Array, bias: Array, *, relu: bool, record: Record | None = None
) -> tuple[Array, Saved]:
    """Map x (M, I) to max(0, x weight + bias) (M, O), or without the maximum if not `relu`.

    weight (I, O), bias (O,), all of one floating type. Raises ShapeError where they disagree.
    """
    bind("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    same_float("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    out = x @ weight + bias  # 1, relu_layer-R1
    if record is not None:
        record("affine", x=x, weight=weight, bias=bias, out=out)
    if not relu:
        return out, Saved(x, weight, None)
    passed = ~(out <= 0)  # relu_layer-R3: the slope at zero is zero; NaN passes, relu_layer-R7
    rectified = np.maximum(out, 0)  # 2, relu_layer-R2
    if record is not None:
        record("rectified", passed=passed, out=rectified)
    return rectified, Saved(x, weight, passed)


def backward(
    d_out: Array, saved: Saved, *, record: Record | None = None
) -> tuple[Array, Array, Array]:
    """Return d_x (M, I), d_weight (I, O), d_bias (O,)."""
    x, weight, passed = saved
    d_sum = d_out if passed is None else np.where(passed, d_out, 0)  # 2
    d_x, d_weight, d_bias = d_sum @ weight.T, x.T @ d_sum, d_sum.sum(axis=0)  # 1, relu_layer-R4
    if record is not None:
        record("d_affine", d_sum=d_sum, d_x=d_x, d_weight=d_weight, d_bias=d_bias)
    return d_x, d_weight, d_bias
