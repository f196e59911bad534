"""Calls of routing that several test files make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mindref.conformance.strategies import RoutingCase, normal
from mindref.ops import routing
from mindref.shapes import Array, Ints
from tests import naive

AXES = pytest.mark.parametrize("axis", routing.AXES)
CHOICES = pytest.mark.parametrize("choice", routing.GRADIENTS)
WEIGHTED = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
"""Without and with log weights."""


def run(case: RoutingCase, log_weights: Array | None = None, **numbers: Any) -> Any:
    """Return capsules and what is saved; three iterations with all gradients, unless told."""
    return routing.forward(*case, log_weights, **{"iterations": 3, "gradient": "all", **numbers})


def draw_log_weights(
    rng: np.random.Generator, case: RoutingCase, weighted: bool = True
) -> Array | None:
    return normal(rng, *case.init_logits.shape) if weighted else None


def users(case: RoutingCase) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield each user that has behaviours, their positions and the active interests."""
    for b in range(len(case.history)):
        real, active = np.flatnonzero(case.mask[b]), np.flatnonzero(case.active[b])
        if len(real):
            yield b, real, active


def loop_arguments(case: RoutingCase, b: int, real: Ints, active: Ints) -> tuple[Any, Any]:
    """Return votes and initial logits of a user: no padding, no inactive interest."""
    general = case.bilinear.ndim == 4
    matrix = case.bilinear[np.ix_(real, active)] if general else case.bilinear
    votes = naive.votes_of(case.history[b, real], matrix)
    return votes, case.init_logits[b][np.ix_(real, active)]


def ones_case(users: int, length: int, width: int, interests: int) -> RoutingCase:
    """Return a call of ones, of which all behaviours and interests are real."""
    history, logits = np.ones((users, length, width)), np.ones((users, length, interests))
    masks = np.ones((users, length), bool), np.ones((users, interests), bool)
    return RoutingCase(history, masks[0], np.eye(width), logits, masks[1])
