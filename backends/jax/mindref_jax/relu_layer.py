"""Affine layer with optional ReLU. Spec: specs/relu_layer.md."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mindref.shapes import bind_axes, common_float_dtype
from mindref_jax.matmul import matmul
from mindref_jax.shapes import reject_rounding


def relu_layer(x: Array, weight: Array, bias: Array, *, relu: bool) -> Array:
    """Map rows x (M, I) with weight (I, O) and bias (O,) to (M, O), with optional ReLU.

    Raises ShapeError if shapes or dtypes do not match.
    """
    check_inputs(x, weight, bias, relu)
    out = matmul(x, weight) + bias  # relu_layer-R1
    # not jax.nn.relu, whose gradient at NaN is zero: relu_layer-R7
    return jnp.where(out <= 0, 0, out) if relu else out  # relu_layer-R2, R3


def check_inputs(x: Array, weight: Array, bias: Array, relu: bool) -> None:
    """Raise ShapeError if the arguments of `relu_layer` are invalid."""
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    reject_rounding("relu_layer", x)
