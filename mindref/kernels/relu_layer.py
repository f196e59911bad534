"""Compiled linear layer with ReLU: out_mo = max(0, sum_i x_mi weight_io + bias_o).

Spec: specs/relu_layer.md. BLAS computes the matrix products; the rest is compiled.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.contiguous import readonly_contiguous
from mindref.ops.relu_layer import Saved
from mindref.shapes import Array, Bools, bind_axes, common_float_dtype, require_gradient_shape


def forward(x: Array, weight: Array, bias: Array, *, relu: bool) -> tuple[Array, Saved]:
    """Return max(0, x weight + bias) (M, O) of x (M, I), or without the maximum if not `relu`."""
    bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
    common_float_dtype("relu_layer", x=x, weight=weight, bias=bias)
    out = np.ascontiguousarray(x @ weight)
    passed = np.empty(out.shape, np.bool_)
    relu_inplace(out, readonly_contiguous(bias), relu, passed)
    return out, Saved(x, weight, passed if relu else None)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_x (M, I), d_weight (I, O), d_bias (O,)."""
    x, weight, passed = saved
    require_gradient_shape("relu_layer", d_out, (len(x), weight.shape[1]))
    d_sum, d_bias = np.array(d_out, order="C"), np.zeros(d_out.shape[1], d_out.dtype)
    # if all elements pass, an empty array, which is not read
    rows = np.empty((0, d_out.shape[1]), np.bool_) if passed is None else passed
    relu_inplace_backward(d_sum, passed is None, rows, d_bias)
    return d_sum @ weight.T, x.T @ d_sum, d_bias


@jit
def relu_inplace(out: Array, bias: Array, relu: bool, passed: Bools) -> None:
    """Add the bias to out (M, O) and apply the ReLU, in place; NaN passes."""
    for m in range(out.shape[0]):
        for o in range(out.shape[1]):
            total = out[m, o] + bias[o]  # relu_layer-R1
            passed[m, o] = not total <= 0  # relu_layer-R3, R7
            out[m, o] = total if passed[m, o] or not relu else 0  # relu_layer-R2


@jit
def relu_inplace_backward(d_sum: Array, linear: bool, passed: Bools, d_bias: Array) -> None:
    """Set d_sum (M, O) to zero where nothing passed, and add its columns to d_bias (O,)."""
    for m in range(d_sum.shape[0]):
        if not linear:
            for o in range(d_sum.shape[1]):
                d_sum[m, o] = d_sum[m, o] if passed[m, o] else 0
        for o in range(d_sum.shape[1]):
            d_bias[o] += d_sum[m, o]
