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
    return rectify(out) if relu else out


def first_layer(x: Array, shared: Array, weight: Array, bias: Array, *, relu: bool) -> Array:
    """Return `relu_layer` (B K, O) of x (B, K, D), each row followed by the shared inputs (B, J).

    The product with the shared inputs of a user is computed once.
    """
    users, count, width = x.shape
    check_inputs(jnp.zeros((1, width + shared.shape[1]), x.dtype), weight, bias, relu)
    products = matmul(x.reshape(users * count, width), weight[:width])
    of_users = matmul(shared, weight[width:]) + bias
    out = products + jnp.repeat(of_users, count, axis=0)
    return rectify(out) if relu else out


def rectify(x: Array) -> Array:
    """Return the positive part of x."""
    # not jax.nn.relu, whose gradient at NaN is zero: relu_layer-R7
    return jnp.where(x <= 0, 0, x)  # relu_layer-R2, R3


def check_inputs(x: Array, weight: Array, bias: Array, relu: bool) -> None:
    """Raise ShapeError if the arguments of `relu_layer` are invalid."""
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))  # relu_layer-R5
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)  # relu_layer-R6
    reject_rounding("relu_layer", x)
