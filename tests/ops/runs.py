"""Calls of routing that several test files make."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindref.conformance.strategies import RoutingCase
from mindref.ops import routing
from mindref.shapes import Array, Ints


def run(case: RoutingCase, *, iterations: int = 3, **numbers: str) -> tuple[Array, routing.Saved]:
    return routing.forward(*case, iterations=iterations, **{"gradient": "all", **numbers})


def users(case: RoutingCase) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield each user that has behaviours, the places of these and the active interests."""
    for b in range(len(case.history)):
        real, active = np.flatnonzero(case.mask[b]), np.flatnonzero(case.active[b])
        if len(real):
            yield b, real, active
