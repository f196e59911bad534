"""Correct implementations that compute in another order than the reference.

A judge that fails one of them raises a false alarm. Each is a backend (specs/backend.md), written
from the pages, and computes in the type of its inputs:

loops            users, places and interests one by one; every sum from its first term to its last
reversed_order   whole arrays; every sum from its last term to its first, and other algebra
ragged           only real behaviours and active interests are touched; matrix products and
                 scattered sums; Jacobians as matrices
automatic        PyTorch, forward only; gradients are the framework's own (needs torch)

Loaded as `tests.conformance.correct:Loops`; nothing of an implementation is imported before `ops`
is asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from mindref.backend import OPERATORS, OPTIONS, Capabilities


class Correct:
    """What the three NumPy implementations share: `ops` is the package of their name."""

    name = ""

    @property
    def ops(self) -> ModuleType:
        return importlib.import_module(f"{__name__}.{self.name}")

    def capabilities(self) -> Capabilities:
        return Capabilities(OPERATORS, options=OPTIONS)

    def to_numpy(self, x: Any) -> Any:
        return x

    def from_numpy(self, x: Any) -> Any:
        return x


class Loops(Correct):
    name = "loops"


class ReversedOrder(Correct):
    name = "reversed_order"


class Ragged(Correct):
    name = "ragged"


ALL = (Loops, ReversedOrder, Ragged)
"""Those that need nothing but NumPy."""
