"""Spec: specs/squash.md. One capsule, one Jacobian matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
    flat = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    out, jacobians = np.zeros_like(flat), []
    for row, capsule in enumerate(flat):
        out[row], jacobian = one(capsule, kind)
        jacobians.append(jacobian)
    return out.reshape(x.shape), jacobians


def backward(d_out: Array, saved: Any) -> Array:
    flat = d_out.reshape(len(saved), d_out.shape[-1])
    pairs = zip(saved, flat, strict=True)
    rows = [g if jacobian is None else np.dot(jacobian, g) for jacobian, g in pairs]
    return np.array(rows, d_out.dtype).reshape(d_out.shape)


def one(x: Array, kind: str) -> tuple[Array, Array | None]:
    """Return one capsule (D,) squashed, and the Jacobian (D, D) there; None for the identity."""
    if kind == "none":  # squash-R7
        return x.copy(), None
    identity = np.eye(len(x), dtype=x.dtype)
    largest = np.max(np.abs(x), initial=0)
    if not np.isfinite(largest):
        return np.full_like(x, np.nan), np.full_like(identity, np.nan)
    if largest == 0:  # squash-R3
        return np.zeros_like(x), np.zeros_like(identity)
    scaled = x / largest  # squash-R4
    length = np.sqrt(np.dot(scaled, scaled))
    unit = scaled / length
    with np.errstate(over="ignore"):  # n, or 1 / n, may be beyond the floats
        n = largest * length
        inverse = np.minimum(1 / n, np.finfo(x.dtype).max)
    if kind == "unit":  # squash-R6
        return unit, inverse * (identity - np.outer(unit, unit))
    r = min(n, inverse)
    divisor = 1 + r * r
    bend = (1 - r * r) / divisor * (1 if n <= 1 else -1)  # of the slopes: (along - across) / across
    gain = r * r / divisor if n <= 1 else 1 / divisor
    return unit * gain, r / divisor * (identity + bend * np.outer(unit, unit))  # squash-R2
