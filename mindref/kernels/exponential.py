"""Exponentials of numbers less the largest of them, in lanes: those of a softmax."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import Number, jit, jit_in_order
from mindref.shapes import Array


class Range(NamedTuple):
    """From where on exponentials are zero, and the way to the power of two."""

    least: Any  # what is below it is zero
    lift: Any  # added to the power of two, as the type's bits count it
    lower: Any  # a factor that takes away what was added too much


SINGLE = Range(np.float32(-104), np.int32(127 + 24), np.float32(2**-24))
DOUBLE = Range(-746.0, np.int64(1023 + 54), 2.0**-54)
"""Down to half of the smallest number. The power is lifted too high, so that what is below the
smallest normal number is rounded once, as it is lowered."""
NORMAL_SINGLE = Range(np.float32(-87.33), np.int32(127), np.float32(1))
NORMAL_DOUBLE = Range(-708.39, np.int64(1023), 1.0)
"""Down to the smallest normal number: some processors take long with what is below."""


@jit
def raise_all(x: Array, top: Number) -> None:
    """Replace numbers x <= top by exp(x - top), in place."""
    if x.itemsize == 4:
        raise_singles(x, top, SINGLE)
    else:
        raise_doubles(x, top, DOUBLE)


@jit
def raise_to_normal(x: Array, top: Number) -> None:
    """Do the same, but write zero where the exponential is below the smallest normal number."""
    if x.itemsize == 4:
        raise_singles(x, top, NORMAL_SINGLE)
    else:
        raise_doubles(x, top, NORMAL_DOUBLE)


LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
CEPHES = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
TERMS = tuple(map(np.float32, CEPHES))


@jit_in_order
def raise_singles(x: Array, top: Number, span: Range) -> None:
    """Replace single numbers x <= top by exp(x - top), in lanes: 2^k times a polynomial.

    Within one ULP of the exponential of the difference, which is rounded before; zero below
    `span.least`.
    Source: Moshier, Cephes, expf. The power of two is made of bits.
    """
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    least, lift, lower = span
    for i in range(x.shape[0]):
        u = x[i] - top
        v = least if u < least else u
        k = np.floor(v * LOG2_E + half)
        r = (v - k * LN2_HIGH) - k * LN2_LOW
        p = (((TERMS[0] * r + TERMS[1]) * r + TERMS[2]) * r + TERMS[3]) * r + TERMS[4]
        y = (p * r + half) * (r * r) + r + one
        whole = np.int32(k) if k == k else np.int32(0)
        y = zero if u < least else y
        x[i] = (y * np.int32((whole + lift) << np.int32(23)).view(np.float32)) * lower


WIDE_LOG2_E = 1.4426950408889634
WIDE_HIGH, WIDE_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6  # of the log of two
ABOVE = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1)
BELOW = (3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)


@jit_in_order
def raise_doubles(x: Array, top: Number, span: Range) -> None:
    """Replace double numbers x <= top by exp(x - top), in the same manner, within two ULP.

    Source: Moshier, Cephes, exp: a quotient of polynomials.
    """
    least, lift, lower = span
    for i in range(x.shape[0]):
        u = x[i] - top
        v = least if u < least else u
        k = np.floor(v * WIDE_LOG2_E + 0.5)
        r = (v - k * WIDE_HIGH) - k * WIDE_LOW
        square = r * r
        p = r * ((ABOVE[0] * square + ABOVE[1]) * square + ABOVE[2])
        q = ((BELOW[0] * square + BELOW[1]) * square + BELOW[2]) * square + BELOW[3]
        y = 1.0 + 2.0 * (p / (q - p))
        whole = np.int64(np.int32(k)) if k == k else np.int64(0)
        y = 0.0 if u < least else y
        x[i] = (y * np.int64((whole + lift) << np.int64(52)).view(np.float64)) * lower
