"""Spec: specs/softmax.md. One slice after another, one place after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Bools, Ints
from tests.conformance.correct import checks
from tests.conformance.correct.loops.sums import dot, total


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Any]:
    checks.softmax(logits, mask, axis)
    out = np.zeros_like(logits)
    of, left, into = (
        np.moveaxis(x, axis, -1) for x in (logits, np.broadcast_to(mask, logits.shape), out)
    )
    for place in np.ndindex(of.shape[:-1]):  # softmax-R6: every other axis is a batch
        chosen = np.flatnonzero(left[place])
        into[place][chosen] = weights(of[place][chosen])
    return out, (out, mask, axis)


def backward(d_out: Array, saved: Any) -> Array:
    out, mask, axis = saved
    d_logits = np.zeros_like(out)
    w, g, left, into = (
        np.moveaxis(x, axis, -1) for x in (out, d_out, np.broadcast_to(mask, out.shape), d_logits)
    )
    for place in np.ndindex(w.shape[:-1]):
        chosen: Ints = np.flatnonzero(left[place])
        into[place][chosen] = slope(w[place][chosen], g[place][chosen])  # softmax-R5
    return d_logits


def weights(logits: Array) -> Array:
    """Return the weights (J,) of one slice of unmasked logits (J,)."""
    if not all(b < np.inf for b in logits):  # numerics-R5, R13: NaN or +infinity
        return np.full_like(logits, np.nan)
    top = max(logits, default=-np.inf)
    if top == -np.inf:  # softmax-R4
        return np.zeros_like(logits)
    with np.errstate(over="ignore"):  # a gap beyond the floats is weight 0
        raised = [np.exp(b - top) for b in logits]
    whole = total(raised, top)
    return np.array([x / whole for x in raised], logits.dtype)


def slope(w: Array, g: Array) -> Array:
    """Return w (g - <w, g>) of one slice."""
    inner = dot(w, g)
    return np.array([x * (y - inner) for x, y in zip(w, g, strict=True)], w.dtype)
