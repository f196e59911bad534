"""Base of public bugs written as backends: the contract, and correct functions.

The functions are written from the specification and from public code (specs/field.md). They do not
use the code of `mindref.ops` or the catalogue of mutants, so the bugs test the diagnosis
independently. Each operator of a base class is correct. A bug replaces one step and its derivative,
so its gradient is the exact gradient of the wrong function.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from mindref.backend import Capabilities
from mindref.shapes import Array, Bools


class BuggyOperator:
    """A backend with one operator; the object is also the namespace of `forward` and `backward`.

    It does not claim the optional rules (another axis, another squash, general matrices).
    """

    stem = ""
    deviation = ""  # what the bug does
    seen_in = ""  # implementations with the bug, as named in field.md
    rule = ""  # label of the broken rule
    mutants: tuple[str, ...] = ()  # equivalent mutants of the catalogue

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def ops(self) -> Any:
        return SimpleNamespace(**{self.stem: self})

    def capabilities(self) -> Capabilities:
        return Capabilities((self.stem,), options=())

    def to_numpy(self, x: Any) -> Any:
        return x

    def from_numpy(self, x: Any) -> Any:
        return x


def softmax(logits: Array, allowed: Bools, axis: int) -> Array:
    """Return the softmax over an axis of the allowed positions; zero if no position is allowed."""
    masked_logits = np.where(allowed, logits, -np.inf)
    top = np.max(masked_logits, axis=axis, keepdims=True, initial=-np.inf)
    exponentials = np.exp(masked_logits - np.where(top == -np.inf, 0, top))
    total = exponentials.sum(axis=axis, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def softmax_backward(d_weights: Array, weights: Array, axis: int) -> Array:
    inner = (weights * d_weights).sum(axis=axis, keepdims=True)
    return weights * (d_weights - inner)


def row_lengths(x: Array) -> Array:
    """Return the lengths (..., 1) without squares of tiny or huge numbers."""
    top = np.max(np.abs(x), axis=-1, keepdims=True, initial=0)
    scale = np.where((top > 0) & np.isfinite(top), top, 1)
    return scale * np.sqrt(((x / scale) ** 2).sum(axis=-1, keepdims=True))


def direction(x: Array) -> Array:
    n = row_lengths(x)
    return x / np.where(n > 0, n, 1)


def unit_rows_backward(d_out: Array, x: Array) -> Array:
    """Return the derivative of `direction`: the orthogonal part of d_out / length; zero at zero."""
    n, a = row_lengths(x), direction(x)
    across = d_out - a * (a * d_out).sum(axis=-1, keepdims=True)
    return np.where(n > 0, across / np.where(n > 0, n, 1), 0)


def squash(x: Array) -> Array:
    return x * squash_factor(row_lengths(x))


def squash_backward(d_out: Array, x: Array) -> Array:
    n, a = row_lengths(x), direction(x)
    along = (a * d_out).sum(axis=-1, keepdims=True)
    slope = 2 * squash_factor(n) ** 2 / np.where(n > 0, n, 1)  # 2 n / (1 + n^2)^2
    return squash_factor(n) * (d_out - a * along) + slope * a * along


def squash_factor(n: Array) -> Array:
    """Return n / (1 + n^2), computed from the smaller of n and 1 / n."""
    r = np.minimum(n, 1 / np.where(n > 0, n, 1))
    return r / (1 + r * r)
