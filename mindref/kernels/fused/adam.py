"""Adam on the rows that a step touched, in one pass over memory.

Spec: specs/optimiser.md; the function `update` of `mindref.training.optimiser`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import jit
from mindref.kernels.ahead import AHEAD, fetch
from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.shared import Shares, Uses, unite
from mindref.kernels.fused.step import Step
from mindref.kernels.fused.team import Task
from mindref.kernels.fused.workspace import slices
from mindref.models.parameters import flatten
from mindref.shapes import Array, Ints
from mindref.training.optimiser import State


class Rates(NamedTuple):
    """The numbers of a step, in the type of the parameters."""

    rate: Any
    beta1: Any
    beta2: Any
    rest1: Any  # 1 - beta1
    rest2: Any
    epsilon: Any  # times the root of the correction: optimiser-R4


class Tables(NamedTuple):
    """A parameter and its moments."""

    params: Array
    first: Array
    second: Array


def rates(step: int, learning_rate: float, config: Config, dtype: Any) -> Rates:
    """Return the numbers of step number `step`, from 1."""
    root = math.sqrt(1 - config.beta2**step)  # optimiser-R2, R13
    found = (
        learning_rate * root / (1 - config.beta1**step),  # optimiser-R3
        config.beta1,
        config.beta2,
        1 - config.beta1,
        1 - config.beta2,
        config.epsilon * root,
    )
    return Rates(*(np.dtype(dtype).type(x) for x in found))


class Update:
    """A step, and parameters that are moved by its gradients, in place, in two more phases."""

    def __init__(self, step: Step, moments: State, learning_rate: float) -> None:
        """Keep what is needed; moments: those before the step."""
        self.step, self.moments, self.learning_rate = step, moments, learning_rate
        self.squares: list[float] = []  # sums over the second moments, of no use but to be finite

    def run(self) -> tuple[Any, State]:
        """Take the step; return the loss and the moments after it.

        With a loss that is not finite nothing moves; NaN: a gradient, or its square, is not finite
        (optimiser-R14).
        """
        firsts, blocks = self.step.phases()
        self.step.work.run([firsts, lambda: [*blocks(), self.prepare], self.items, self.rest])
        if not math.isfinite(self.loss):
            return self.loss, self.moments
        after = self.moments._replace(step=self.moments.step + 1)
        well = math.isfinite(sum(self.squares)) or all_finite(after)  # a sum may overflow by itself
        return self.loss if well else self.loss * np.nan, after

    def prepare(self) -> None:
        """Make ready all that does not wait for the gradients."""
        step, before = self.step, self.moments
        self.numbers = rates(before.step + 1, self.learning_rate, step.config, step.dtype)
        named = flatten(step.params)
        self.tables = {x: Tables(named[x], before.first[x], before.second[x]) for x in named}
        parts = step.parts()
        alone = [[name] for name in parts if named[name].size >= LARGE or not self.plain(name)]
        small = [name for name in parts if [name] not in alone]
        self.dense = [
            (
                tuple(as_rows(parts[name], len(parts[name])) for name in names),
                tuple(Tables(*map(as_rows, self.tables[name])) for name in names),
            )
            for names in (*alone, small)
            if names
        ]
        self.alone = all(step.alone)  # then a row has the gradient of one item
        to_rows = self.move_own if self.alone else step.to_item
        self.tasks = [partial(to_rows, block) for block in slices(len(step.d_vectors), ITEMS)]
        if not step.exact:
            self.tasks += [partial(self.move_dense, *given) for given in self.dense]

    def plain(self, name: str) -> bool:
        """Return whether the tables of a parameter are of one type with others that are plain."""
        return all(x.flags.c_contiguous and x.flags.aligned for x in self.tables[name])

    def items(self) -> Iterator[Task]:
        """Yield the items, and what is known when all users are done."""
        self.loss = self.step.loss_of_all()
        tasks, self.tasks = self.tasks, []  # they hold this: a circle would wait for the collector
        if not math.isfinite(self.loss):
            return
        yield from tasks
        if self.step.d_profile.size:
            yield self.move_profile

    def rest(self) -> Iterator[Task]:
        """Yield what is known when all items have what users send to them."""
        if not math.isfinite(self.loss):
            return
        if self.step.exact:  # what goes to S by way of votes
            yield from (partial(self.move_dense, *given) for given in self.dense)
        if not self.alone:
            rows, values = self.step.item_gradient()
            for block in slices(len(rows), ITEMS):
                yield partial(self.move, "items", rows[block], values[block])

    def move_dense(self, parts: tuple[Array, ...], tables: tuple[Tables, ...]) -> None:
        """Move some parameters that are no tables, in one call."""
        self.squares.append(move_all(parts, tables, self.numbers))

    def move_own(self, block: slice) -> None:
        """Move the rows of a block of items, as soon as their gradient is there."""
        given = (self.step.item_rows[block, 0], self.tables["items"], self.numbers)
        self.squares.append(unite_and_move(*self.step.to_unite(block), *given))

    def move_profile(self) -> None:
        """Move the rows of user features."""
        self.move("profile", *self.step.profile_gradient())

    def move(self, name: str, rows: Ints, values: Array) -> None:
        """Move some rows of a table."""
        self.squares.append(move(rows, values, self.tables[name], self.numbers))


def all_finite(moments: State) -> bool:
    """Return whether all second moments are finite."""
    return all(np.isfinite(x).all() for x in moments.second.values())


LARGE = 1 << 16
"""Numbers of a parameter that is moved by itself; less are moved in one call."""


def as_rows(x: Array, *parts: int) -> Array:
    """Return vectors as matrices of one row, matrices as they are; of so many parts, each."""
    own = x.shape[len(parts) :]
    return x if len(own) > 1 else x.reshape(*parts, 1, *own)


@jit
def move(rows: Ints, gradient: Array, tables: Tables, numbers: Rates) -> Any:
    """Move the rows (R,) of all three tables (V, D) by their gradients (R, D), in place.

    Returns the sum over the second moments that moved: no number if one of them is none, as none is
    below zero.
    """
    params, first, second = tables
    rate, beta1, beta2, rest1, rest2, epsilon = numbers
    total = params.dtype.type(0)
    for r in range(len(rows)):
        row = rows[r]
        if r + AHEAD < len(rows):
            later = rows[r + AHEAD]
            fetch(params, later)
            fetch(first, later)
            fetch(second, later)
        for d in range(gradient.shape[1]):
            g = gradient[r, d]
            m = beta1 * first[row, d] + rest1 * g  # optimiser-R1
            v = beta2 * second[row, d] + rest2 * (g * g)
            first[row, d], second[row, d] = m, v
            total += v
            params[row, d] -= rate * m / (np.sqrt(v) + epsilon)
    return total


@jit
def unite_and_move(
    shares: Shares | None,
    uses: Uses,
    voting: int,
    first: int,
    gradient: Array,
    rows: Ints,
    tables: Tables,
    numbers: Rates,
) -> Any:
    """Write the gradients (M, D) of some items as `unite` does, then move their rows (M,)."""
    unite(shares, uses, voting, first, gradient)
    return move(rows, gradient, tables, numbers)


@jit
def move_all(parts: Any, tables: Any, numbers: Rates) -> Any:
    """Move all rows of some parameters, (V, D) and moments each, by the sums of (P, V, D)."""
    total = parts[0].dtype.type(0)
    for i in range(len(parts)):
        total += move_whole(parts[i], tables[i], numbers)
    return total


@jit
def move_whole(parts: Array, tables: Tables, numbers: Rates) -> Any:
    """Move all rows of three tables (V, D) by the sum of parts (P, V, D), in their order."""
    total, count = parts.dtype.type(0), parts.shape[2]
    one, gradient = np.empty(1, np.int64), np.empty((1, count), parts.dtype)
    for row in range(parts.shape[1]):
        one[0], gradient[:] = row, 0
        for p in range(parts.shape[0]):
            for d in range(count):
                gradient[0, d] += parts[p, row, d]
        total += move(one, gradient, tables, numbers)
    return total
