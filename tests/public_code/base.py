"""What public bugs written as backends share: the contract, and pieces that are right.

Everything is written from the pages and from what field.md read in public code, not from the code
of `mindref.ops` and not from the catalogue of mutants, so that the diagnosis is tried on
strangers. Each operator is right as its base class has it; a bug replaces one step of it together
with that step's derivative, so that its gradient is the exact one of the wrong function.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import Capabilities
from mindref.shapes import Array, Bools


class Bug(NamedTuple):
    """A deviation read in public code."""

    name: str
    family: str  # who has it, by the words of field.md
    breaks: str  # the rule of the specification


class Wrong:
    """A backend of one operator, which is its own namespace: `forward` and `backward` stand here.

    Optional rules (another axis, another squash, general matrices) are not claimed.
    """

    stem = ""
    bug = Bug("none: right as far as its author knows", "", "")

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
    """Weights over an axis among the allowed places; zero where none is left."""
    kept = np.where(allowed, logits, -np.inf)
    top = np.max(kept, axis=axis, keepdims=True, initial=-np.inf)
    raised = np.exp(kept - np.where(top == -np.inf, 0, top))
    total = raised.sum(axis=axis, keepdims=True)
    return raised / np.where(total == 0, 1, total)


def softmax_slope(d_weights: Array, weights: Array, axis: int) -> Array:
    inner = (weights * d_weights).sum(axis=axis, keepdims=True)
    return weights * (d_weights - inner)


def lengths_of(x: Array) -> Array:
    """Lengths (..., 1), without squaring what is tiny or huge."""
    top = np.max(np.abs(x), axis=-1, keepdims=True, initial=0)
    scale = np.where((top > 0) & np.isfinite(top), top, 1)
    return scale * np.sqrt(((x / scale) ** 2).sum(axis=-1, keepdims=True))


def direction(x: Array) -> Array:
    n = lengths_of(x)
    return x / np.where(n > 0, n, 1)


def unit_slope(d_out: Array, x: Array) -> Array:
    """Derivative of `direction`: the part across, over the length; zero at zero."""
    n, a = lengths_of(x), direction(x)
    across = d_out - a * (a * d_out).sum(axis=-1, keepdims=True)
    return np.where(n > 0, across / np.where(n > 0, n, 1), 0)


def squash(x: Array) -> Array:
    return x * turning(lengths_of(x))


def squash_slope(d_out: Array, x: Array) -> Array:
    n, a = lengths_of(x), direction(x)
    along = (a * d_out).sum(axis=-1, keepdims=True)
    slope = 2 * turning(n) ** 2 / np.where(n > 0, n, 1)  # 2 n / (1 + n^2)^2
    return turning(n) * (d_out - a * along) + slope * a * along


def turning(n: Array) -> Array:
    """n / (1 + n^2), in the smaller of n and 1 / n."""
    r = np.minimum(n, 1 / np.where(n > 0, n, 1))
    return r / (1 + r * r)
