"""Base of public bugs written as backends: the contract, and correct functions.

The functions are written from the specification and from public code (specs/field.md). They do not
use the code of `mindref.ops` or the catalogue of mutants, so the bugs test the diagnosis
independently. Softmax and squash are those of tests/conformance/correct. Each operator of a base
class is correct. A bug replaces one step and its derivative, so its gradient is the exact gradient
of the wrong function.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mindref.backend import Capabilities
from mindref.shapes import Array, Bools
from tests.conformance.correct import softmax as _softmax
from tests.conformance.correct import squash as _squash


class BuggyOperator:
    """A backend with one operator; the object is also the namespace of `forward` and `backward`.

    It does not claim the optional rules (another axis, another squash, general matrices).
    """

    stem = ""
    deviation = ""  # effect of the bug
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
    return _softmax.forward(logits, allowed, axis=axis)[0]


def softmax_backward(d_weights: Array, weights: Array, axis: int) -> Array:
    inner = (weights * d_weights).sum(axis=axis, keepdims=True)
    return weights * (d_weights - inner)


def squash(x: Array, kind: str = "squash") -> Array:
    """Return the squash of vectors (..., D); kind "unit": their directions."""
    return _squash.forward(x, kind=kind)[0]


def squash_backward(d_out: Array, x: Array, kind: str = "squash") -> Array:
    return _squash.backward(d_out, _squash.forward(x, kind=kind)[1])
