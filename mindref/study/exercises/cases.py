"""The types of the cases of an exercise, and the interface of a module of `tasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array

Inputs = dict[str, Any]
"""The arguments of the learner's function by name, and possibly further inputs.

The finite differences may perturb a further input. Example: the function returns a gradient with
respect to the logits, but its argument is the weights.
"""

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

    @classmethod
    def of_sum(cls, text: str, values: Iterable[Any], *first: tuple[str, float]) -> EntryTerms:
        """Return the sum of `first` and of values; `text` with the index names a value."""
        return cls("sum", (*first, *((text.format(k), float(x)) for k, x in enumerate(values))))

    @classmethod
    def of_softmax(cls, text: str, gaps: Array, k: int) -> EntryTerms:
        """Return the quotient of the exponential of gap k and the sum of all exponentials."""
        numbers = tuple((text.format(j), float(x)) for j, x in enumerate(np.exp(gaps)))
        return cls("quotient", (numbers[k], *numbers))

    @classmethod
    def of_squash(cls, name: str, z: Array, index: int) -> EntryTerms:
        """Return the product of a component of z and the factor of squash."""
        n = float(np.linalg.norm(z))
        return cls("product", ((name, float(z[index])), ("n / (1 + n^2)", n / (1 + n * n))))


def unknown_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Raise NotImplementedError: the answer of the exercise is no gradient."""
    raise NotImplementedError


class ExerciseTask(NamedTuple):
    """The cases of an exercise and their reference answers."""

    make_cases: Callable[[np.random.Generator], Cases]  # draws every random number from it
    compute_answer: Callable[[Inputs], Any]  # an array or a tuple, computed by `mindref.ops`
    explain_entry: Callable[[Inputs, str, tuple[int, ...]], EntryTerms]  # inputs, part, index
    compute_loss: Callable[[Inputs, Inputs], float] = unknown_loss
    """For a gradient: of inputs and perturbed inputs; constants of the loss are of the inputs."""

    difference_steps: Mapping[str, float] = {}
    """The step of the finite differences of a case, if the function has a large curvature."""


def inner_product(x: Array, y: Array) -> float:
    """Return the sum over all entries of x times y; the gradient with respect to y is x."""
    return float(np.sum(x * y))


def make_mask(lengths: Sequence[int], size: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return a mask (B, size) with `lengths[b]` leading true positions in row b."""
    return np.arange(size) < np.array(lengths)[:, None]
