"""An affine map of rows, rectified or not. Spec: specs/relu_layer.md."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from mindref_jax.checks import bind, same_float
from mindref_jax.products import matmul


def relu_layer(x: Any, weight: Any, bias: Any, *, relu: bool) -> Any:
    """Map rows x (M, I) by weight (I, O) and bias (O,) to (M, O), with `relu` no less than zero.

    Raises ShapeError for shapes and types that do not fit.
    """
    check(x, weight, bias, relu)
    out = matmul(x, weight) + bias  # relu_layer-R1
    # not jax.nn.relu, which lets no gradient of a NaN pass: relu_layer-R7
    return jnp.where(out <= 0, 0, out) if relu else out  # relu_layer-R2, R3


def check(x: Any, weight: Any, bias: Any, relu: bool) -> None:
    """Raise ShapeError for anything that `relu_layer` cannot take."""
    bind("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    same_float("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
