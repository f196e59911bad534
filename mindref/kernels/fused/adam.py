"""Adam on the rows that a step touched, in one pass over memory.

Spec: specs/optimiser.md; the function `update` of `mindref.optimiser`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import jit
from mindref.kernels.ahead import AHEAD, fetch
from mindref.kernels.fused.forward import ITEMS, do
from mindref.kernels.fused.step import Step
from mindref.kernels.fused.workspace import slices
from mindref.models.parameters import flatten
from mindref.optimiser import State
from mindref.shapes import Array, Ints


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


def update(step: Step, moments: State, learning_rate: float) -> tuple[State, bool]:
    """Move all parameters by the gradients of a step, in place; return the moments after it.

    And whether they are finite: not so if a gradient, or its square, is not (optimiser-R14).
    """
    count = moments.step + 1
    numbers = rates(count, learning_rate, step.config, step.dtype)
    named = flatten(step.params)

    def tables(name: str) -> Tables:
        return Tables(named[name], moments.first[name], moments.second[name])

    squares: list[float] = []  # sums over the second moments that moved, of no use but for this
    alone = all(step.alone)  # then a row has the gradient of one item
    rows, values = (step.item_rows[:, 0], step.d_vectors) if alone else step.item_gradient()

    def move_items(block: slice) -> None:
        if alone:
            step.uses_of_all(block)
        squares.append(move(rows[block], values[block], tables("items"), numbers))

    def move_parts(names: list[str]) -> None:
        for name in names:
            found, parts = Tables(*map(rows_of, tables(name))), step.parts()[name]
            squares.append(move_all(parts.reshape(len(parts), *found.params.shape), found, numbers))

    def move_profile() -> None:
        squares.append(move(*step.profile_gradient(), tables("profile"), numbers))

    large = [name for name in step.parts() if named[name].size >= LARGE]
    small = [name for name in step.parts() if name not in large]
    tasks = [partial(move_parts, [name]) for name in large]
    tasks += [partial(move_items, block) for block in slices(len(rows), ITEMS)]
    step.work.each(do, [*tasks, partial(move_parts, small), move_profile])
    well = math.isfinite(sum(squares)) or all_finite(moments)  # a sum may overflow by itself
    return State(count, moments.first, moments.second), well


def all_finite(moments: State) -> bool:
    """Return whether all second moments are finite."""
    return all(np.isfinite(x).all() for x in moments.second.values())


LARGE = 1 << 16
"""Numbers of a parameter that is moved by itself; less are moved together, at last.

Between short calls threads wait for each other's Python, least when the others have run out.
"""


def rows_of(x: Array) -> Array:
    """Return a vector as a matrix of one row, a matrix as it is."""
    return x.reshape(1, -1) if x.ndim == 1 else x


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
def move_all(parts: Array, tables: Tables, numbers: Rates) -> Any:
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
