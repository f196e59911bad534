"""The parts of an explanation: factors, terms, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from mindref.study.recipes import Recipe, recipe_factors

Values = Mapping[str, Any]


class Factor(NamedTuple):
    """A cell that a term reads."""

    name: str
    position: tuple[int, ...]
    value: float


class Term(NamedTuple):
    """One number of a group: its form ("{}" is a cell), the cells and the value."""

    form: str  # "{} x {}", "exp({} - 1.5)"
    factors: tuple[Factor, ...]
    value: float


class Group(NamedTuple):
    """Terms and their total."""

    title: str  # "squares of the components"; empty if the total is the cell
    terms: tuple[Term, ...]
    total: float
    largest: bool = False  # the total is the maximum of the terms, not the sum


class Explanation(NamedTuple):
    """How a cell is computed."""

    groups: tuple[Group, ...]
    final_step: str  # from the totals to the cell, with numbers; empty if the total is the cell
    value: float  # computed from the terms


class Cell:
    """The explained cell, and the tensors that its recipe reads, in order."""

    def __init__(self, values: Values, recipe: Recipe, index: tuple[int, ...]) -> None:
        self.recipe, self.index = recipe, index
        self.names = [factor["of"] for factor in recipe_factors(recipe)]
        self.arrays = [np.asarray(values[name]) for name in self.names]
        self.letters = [factor["letters"] for factor in recipe_factors(recipe)]
        self.bound = dict(zip(recipe["out"], index, strict=True))

    def factor(self, k: int, index: tuple[int, ...]) -> Factor:
        """Return a cell of tensor k."""
        value = self.arrays[k][index]
        return Factor(self.names[k], tuple(int(i) for i in index), float(value))

    def cell_index(self, number: int, **extra: int) -> tuple[int, ...]:
        """Return the index in a tensor from the letters; `extra` letters are bound too."""
        bound = {**self.bound, **extra}
        return tuple(bound[letter] for letter in self.letters[number])

    def matching_factor(self, k: int) -> Factor:
        """Return the cell of tensor k with the same index."""
        return self.factor(k, self.cell_index(k))

    def factors_along(self, k: int, letter: str) -> Iterator[tuple[int, Factor]]:
        """Yield the cells of tensor k along one axis."""
        for i in range(self.arrays[k].shape[self.letters[k].index(letter)]):
            yield i, self.factor(k, self.cell_index(k, **{letter: i}))


def group_of_sum(terms: list[Term], title: str = "") -> Group:
    """Return a group whose total is the sum of its terms, in their order."""
    total = 0.0
    for term in terms:  # `sum` would compensate for rounding
        total += term.value
    return Group(title, tuple(terms), total)


def group_of_largest(terms: list[Term], title: str) -> Group:
    """Return a group whose total is the maximum of its terms."""
    return Group(title, tuple(terms), max(term.value for term in terms), largest=True)


def total_of(group: Group) -> Explanation:
    """Return the explanation of a cell that equals the total of a group."""
    return Explanation((group,), "", group.total)


def sum_of(terms: list[Term], title: str = "") -> Explanation:
    """Return the explanation of a cell that equals the sum of some terms."""
    return total_of(group_of_sum(terms, title))


def quotient_of(terms: list[Term], numerator: int) -> Explanation:
    """Return the explanation of one exp over the sum of all exps."""
    group = group_of_sum(terms, "exp of each logit minus the largest logit")
    above = terms[numerator].value
    return Explanation((group,), f"{above!r} / {group.total!r}", above / group.total)


def copy_factor(factor: Factor) -> Explanation:
    """Return the explanation of a cell that copies another cell."""
    return sum_of([Term("{}", (factor,), factor.value)])


def all_factors(cell: Cell, k: int) -> list[Factor]:
    """Return all cells of tensor k, in order."""
    return [cell.factor(k, index) for index in np.ndindex(*cell.arrays[k].shape)]


def active_factors(cell: Cell) -> list[Factor]:
    """Return the cells of tensor 0 where tensor 1, a mask, is true."""
    pairs = zip(all_factors(cell, 0), all_factors(cell, 1), strict=True)
    return [factor for factor, mask in pairs if mask.value]
