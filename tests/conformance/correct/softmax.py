"""Spec: specs/softmax.md. By way of the log of the sum; gradient w g - w <w, g>."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import softmax as reference
from mindref.shapes import Array, Bools
from tests.conformance.correct.sums import total


def check_inputs(*arrays: Any, axis: int) -> None:
    reference.check_inputs(*arrays, axis)


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Any]:
    unmasked = np.where(mask, logits, -np.inf)  # softmax-R2
    top = np.max(unmasked, axis=axis, keepdims=True, initial=-np.inf)
    # infinity less infinity is the NaN of numerics-R13; a gap beyond the floats is weight 0
    with np.errstate(invalid="ignore", over="ignore"):
        gap = unmasked - np.where(top == -np.inf, 0, top)
    sum_exp = total(np.exp(gap), axis, keepdims=True)
    log = np.log(np.where(sum_exp == 0, 1, sum_exp))  # softmax-R4
    out = np.where(mask, np.exp(gap - log), 0).astype(logits.dtype)
    return out, (out, mask, axis)


def backward(d_out: Array, saved: Any) -> Array:
    out, mask, axis = saved
    weighted = np.where(mask, out * d_out, 0)
    inner = total(weighted, axis, keepdims=True)
    return np.where(mask, weighted - out * inner, 0).astype(out.dtype)  # softmax-R5
