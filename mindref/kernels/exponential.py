"""Vectorised exponentials exp(x - top) for x <= top, in place: the exponentials of a softmax."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.kernels._jit import Number, jit, jit_ordered
from mindref.shapes import Array


class ExpRange(NamedTuple):
    """The smallest argument with a nonzero result, and how the power of two is formed."""

    smallest: Number | float  # for smaller arguments the result is zero
    bias: np.int32 | np.int64  # added to the exponent of two before it becomes the bits of a float
    scale: Number | float  # the final factor, which removes a bias that is too large


FLOAT32 = ExpRange(np.float32(-104), np.int32(127 + 24), np.float32(2**-24))
FLOAT64 = ExpRange(-746.0, np.int64(1023 + 54), 2.0**-54)
"""Down to half of the smallest subnormal number. The bias is too large, and `scale` corrects it.
A subnormal result is therefore rounded only once, by the final multiplication."""
NORMAL_FLOAT32 = ExpRange(np.float32(-87.33), np.int32(127), np.float32(1))
NORMAL_FLOAT64 = ExpRange(-708.39, np.int64(1023), 1.0)
"""Down to the smallest normal number: some processors are slow with subnormal numbers."""


@jit
def exp_inplace(x: Array, top: Number) -> None:
    """Replace x (N,), at most `top`, by exp(x - top), in place."""
    if x.itemsize == 4:
        exp_inplace_float32(x, top, FLOAT32)
    else:
        exp_inplace_float64(x, top, FLOAT64)


@jit
def exp_inplace_flush(x: Array, top: Number) -> None:
    """Do the same, but write zero instead of a subnormal result."""
    if x.itemsize == 4:
        exp_inplace_float32(x, top, NORMAL_FLOAT32)
    else:
        exp_inplace_float64(x, top, NORMAL_FLOAT64)


LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
CEPHES = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
COEFFS = tuple(map(np.float32, CEPHES))


@jit_ordered
def exp_inplace_float32(x: Array, top: Number, span: ExpRange) -> None:
    """Replace float32 x <= top by exp(x - top), vectorised: 2^k times a polynomial.

    The error is at most one ULP of the exponential of the rounded difference. The result is zero
    below `span.smallest`.
    Source: Moshier, Cephes, expf. The power of two is formed from bits.
    """
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    smallest, bias, scale = span
    for i in range(x.shape[0]):
        u = x[i] - top
        v = smallest if u < smallest else u
        k = np.floor(v * LOG2_E + half)
        r = (v - k * LN2_HIGH) - k * LN2_LOW
        p = (((COEFFS[0] * r + COEFFS[1]) * r + COEFFS[2]) * r + COEFFS[3]) * r + COEFFS[4]
        y = (p * r + half) * (r * r) + r + one
        power = np.int32(k) if k == k else np.int32(0)
        y = zero if u < smallest else y
        x[i] = (y * np.int32((power + bias) << np.int32(23)).view(np.float32)) * scale


WIDE_LOG2_E = 1.4426950408889634
WIDE_LN2_HIGH, WIDE_LN2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
P = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1)
Q = (3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)


@jit_ordered
def exp_inplace_float64(x: Array, top: Number, span: ExpRange) -> None:
    """Replace float64 x <= top by exp(x - top), with an error of at most two ULP.

    Source: Moshier, Cephes, exp: a quotient of polynomials.
    """
    smallest, bias, scale = span
    for i in range(x.shape[0]):
        u = x[i] - top
        v = smallest if u < smallest else u
        k = np.floor(v * WIDE_LOG2_E + 0.5)
        r = (v - k * WIDE_LN2_HIGH) - k * WIDE_LN2_LOW
        square = r * r
        p = r * ((P[0] * square + P[1]) * square + P[2])
        q = ((Q[0] * square + Q[1]) * square + Q[2]) * square + Q[3]
        y = 1.0 + 2.0 * (p / (q - p))
        power = np.int64(np.int32(k)) if k == k else np.int64(0)
        y = 0.0 if u < smallest else y
        x[i] = (y * np.int64((power + bias) << np.int64(52)).view(np.float64)) * scale
