"""The types of the cases of an exercise, and the interface of a module of `tasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mindref.shapes import Array

Inputs = dict[str, Any]
"""The arguments of the learner's function by name, and possibly further inputs.

The finite differences may perturb a further input. Example: the function returns a gradient with
respect to the logits, but its argument is the weights.
"""

LossFunction = Callable[[Inputs], float]


Cases = Mapping[str, Mapping[str, Inputs]]
"""The inputs of each case, by group and name: {"K = 1": {"K=1 D=4, norm .5": inputs}}."""


class EntryTerms(NamedTuple):
    """The numbers that make one entry of the answer.

    "sum": the sum of the numbers; "product": their product; "quotient": the first number divided
    by the sum of the others.
    """

    how: str
    numbers: tuple[tuple[str, float], ...]  # (in words, value)

    @property
    def value(self) -> float:
        """Return the entry."""
        values = [value for _, value in self.numbers]
        if self.how == "quotient":
            return values[0] / sum(values[1:])
        return float(np.prod(values)) if self.how == "product" else sum(values)

    @staticmethod
    def name_numbers(
        text: str, values: Iterable[Any], numbers: Iterable[int] | None = None
    ) -> tuple[tuple[str, float], ...]:
        """Return each value with its name: `text` with the index of the value, or its number."""
        pairs = enumerate(values) if numbers is None else zip(numbers, values, strict=True)
        return tuple((text.format(k), float(x)) for k, x in pairs)

    @classmethod
    def of_sum(
        cls,
        text: str,
        values: Iterable[Any],
        *first: tuple[str, float],
        numbers: Iterable[int] | None = None,
    ) -> EntryTerms:
        """Return the sum of `first` and of values with names of `name_numbers`."""
        return cls("sum", (*first, *cls.name_numbers(text, values, numbers)))

    @classmethod
    def of_squash(cls, name: str, z: Array, index: int) -> EntryTerms:
        """Return the product of a component of z and the factor of squash."""
        n = float(np.linalg.norm(z))
        return cls("product", ((name, float(z[index])), ("n / (1 + n^2)", n / (1 + n * n))))


class ExerciseTask:
    """The cases of an exercise and their reference answers; one subclass in each module of `tasks`.

    A module of `tasks` has a name TASK with an instance of its subclass.
    """

    difference_steps: ClassVar[Mapping[str, float]] = {}
    """The step of the finite differences of a case, if the function has a large curvature."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases. All random numbers are drawn from rng."""
        raise NotImplementedError

    def compute_answer(self, inputs: Inputs) -> Array | tuple[Array, ...]:
        """Return the right answer, computed by `mindref.ops`."""
        raise NotImplementedError

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the numbers that make one entry of a part of the right answer."""
        raise NotImplementedError

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return the loss as a function of perturbed inputs, for an answer that is a gradient.

        Constants of the loss are computed from `inputs`, which are not perturbed.
        """
        raise NotImplementedError


def make_mask(lengths: Sequence[int], size: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return a mask (B, size) with `lengths[b]` leading true positions in row b."""
    return np.arange(size) < np.array(lengths)[:, None]
