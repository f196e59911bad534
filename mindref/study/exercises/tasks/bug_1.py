"""bug-1: the cases of `route`, whose answer is the same."""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.cases import Group, Inputs, Terms
from mindref.study.exercises.tasks import route


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases of `route`."""
    return route.groups(rng)


def reference(given: Inputs) -> Array:
    """Return the capsules of `routing.forward`."""
    return route.reference(given)


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the sum of the last round and what squash multiplies it by."""
    return route.terms(given, part, index)
