"""What the cases of an exercise are made of, and what a module of `tasks` has to offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from mindref.shapes import Array

Inputs = dict[str, Any]
"""Arguments of the learner's function under their names; others may stand beside them.

What is moved for the centred differences may be one of the others: a gradient by logits can be
asked of a function that is given the weights.
"""

Loss = Callable[[Inputs], float]


class Case(NamedTuple):
    """One call of the learner's function."""

    name: str  # as in the table of the report: "K=3 D=4, norms .3 1 4"
    given: Inputs
    step: float = 1e-3  # of the centred differences; smaller where the function bends sharply


class Group(NamedTuple):
    """Cases that are there for one reason."""

    name: str  # one word or two
    reason: str  # which mistakes would pass without them
    cases: tuple[Case, ...]


class Terms(NamedTuple):
    """What one entry of the answer is made of.

    "sum": the numbers add up to it; "product": they multiply to it; "quotient": it is the first
    number over the sum of the others.
    """

    how: str
    numbers: tuple[tuple[str, float], ...]  # (in words, value)

    @property
    def value(self) -> float:
        """Return the entry that the numbers make."""
        values = [value for _, value in self.numbers]
        if self.how == "quotient":
            return values[0] / sum(values[1:])
        return float(np.prod(values)) if self.how == "product" else sum(values)


class Task(Protocol):
    """A module of `tasks`."""

    @staticmethod
    def groups(rng: np.random.Generator) -> Sequence[Group]:
        """Return the cases; everything drawn comes from rng."""

    @staticmethod
    def reference(given: Inputs) -> Array | tuple[Array, ...]:
        """Return the right answer, from `mindref.ops`."""

    @staticmethod
    def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
        """Return what an entry of a part of the right answer is made of."""

    @staticmethod
    def loss(given: Inputs) -> Loss:
        """Return the number whose gradient is asked for, as a function of moved inputs.

        What has to stand still while an input moves is taken from `given`. Only asked of exercises
        whose answer is a gradient.
        """


def mask_of(lengths: Sequence[int], places: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return a mask (B, L) with that many true places for each user, from the left."""
    return np.arange(places) < np.array(lengths)[:, None]
