"""What an explanation of a cell is made of: cells that are read, terms, and their totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from mindref.study.recipes import Recipe, places

Values = Mapping[str, Any]


class Factor(NamedTuple):
    """A cell that a term reads."""

    name: str
    place: tuple[int, ...]
    value: float


class Term(NamedTuple):
    """One number of a group: what was read, and what was made of it ("{}" stands for a cell)."""

    form: str  # "{} x {}", "exp({} - 1.5)"
    factors: tuple[Factor, ...]
    value: float


class Group(NamedTuple):
    """Terms and their total."""

    what: str  # "squares of the coordinates"; empty where the total is the cell itself
    terms: tuple[Term, ...]
    total: float
    largest: bool = False  # the total is the largest of the terms, not their sum


class Explanation(NamedTuple):
    """Where a cell comes from."""

    groups: tuple[Group, ...]
    last: str  # what makes the cell of the totals, with numbers; empty where the total is it
    value: float  # by this arithmetic


class Cell:
    """The cell to be explained, and the tensors that its recipe reads, in their order."""

    def __init__(self, values: Values, recipe: Recipe, index: tuple[int, ...]) -> None:
        self.recipe, self.index = recipe, index
        self.names = [place["of"] for place in places(recipe)]
        self.arrays = [np.asarray(values[name]) for name in self.names]
        self.letters = [place["at"] for place in places(recipe)]
        self.bound = dict(zip(recipe["out"], index, strict=True))

    def factor(self, k: int, index: tuple[int, ...]) -> Factor:
        """Return a cell of the tensor number k."""
        value = self.arrays[k][index]
        return Factor(self.names[k], tuple(int(i) for i in index), float(value))

    def at(self, number: int, **more: int) -> tuple[int, ...]:
        """Return the index in a tensor that the letters say, `more` of them besides."""
        bound = {**self.bound, **more}
        return tuple(bound[letter] for letter in self.letters[number])

    def here(self, k: int) -> Factor:
        """Return the cell of tensor number k that has the same place."""
        return self.factor(k, self.at(k))

    def along(self, k: int, letter: str) -> Iterator[tuple[int, Factor]]:
        """Yield the cells of tensor number k along one axis."""
        for i in range(self.arrays[k].shape[self.letters[k].index(letter)]):
            yield i, self.factor(k, self.at(k, **{letter: i}))


def total(terms: list[Term]) -> float:
    """Return the sum in the order of the terms."""
    out = 0.0
    for term in terms:
        out += term.value
    return out


def summed(terms: list[Term], what: str = "") -> Group:
    """Return a group whose terms add up."""
    return Group(what, tuple(terms), total(terms))


def alone(group: Group) -> Explanation:
    """Return the explanation of a cell that is the total of a group."""
    return Explanation((group,), "", group.total)


def every(cell: Cell, k: int) -> list[Factor]:
    """Return all cells of tensor number k, in order."""
    return [cell.factor(k, index) for index in np.ndindex(*cell.arrays[k].shape)]
