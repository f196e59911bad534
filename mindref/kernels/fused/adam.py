"""Update parameters with Adam, in one pass over memory. Skip table rows without a gradient.

Spec: specs/optimiser.md. The result is that of `update` in `mindref.training.optimiser`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import Number, jit
from mindref.kernels.fused.forward import BLOCK_ITEMS
from mindref.kernels.fused.step import FusedStep
from mindref.kernels.fused.workspace import Task, block_slices
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.models.parameters import flatten
from mindref.shapes import Array, Ints
from mindref.training.optimiser import State


class AdamNumbers(NamedTuple):
    """The scalars of one Adam step, in the dtype of the parameters."""

    rate: Number  # learning rate times both bias corrections
    beta1: Number
    beta2: Number
    one_minus_beta1: Number
    one_minus_beta2: Number
    epsilon: Number  # epsilon * sqrt(1 - beta2^step): optimiser-R4


class ParameterTables(NamedTuple):
    """A parameter, and its first and second moments in Adam, all of one shape."""

    params: Array
    first: Array
    second: Array


def adam_numbers(
    step: int, learning_rate: float, config: Config, dtype: np.dtype[Any]
) -> AdamNumbers:
    """Return the scalars of step number `step`; the first step has number 1."""
    root = math.sqrt(1 - config.beta2**step)  # optimiser-R2, R13
    number = dtype.type
    return AdamNumbers(
        rate=number(learning_rate * root / (1 - config.beta1**step)),  # optimiser-R3
        beta1=number(config.beta1),
        beta2=number(config.beta2),
        one_minus_beta1=number(1 - config.beta1),
        one_minus_beta2=number(1 - config.beta2),
        epsilon=number(config.epsilon * root),
    )


class AdamUpdate:
    """A fused step followed by the update of its parameters in place.

    A phase is a list of tasks. Phases 1 and 2 include those of `FusedStep`. Phase 3 sums gradients
    of items, and updates parameters that need not wait for all sums. Phase 4 updates all others.
    """

    def __init__(self, step: FusedStep, moments: State, learning_rate: float) -> None:
        """Store the arguments. moments: the state of Adam before the step."""
        self.step, self.moments, self.learning_rate = step, moments, learning_rate
        # sums of second moments, to detect a value that is not finite
        self.square_sums: list[Number] = []

    def run(self) -> tuple[Number, State]:
        """Make the step; return the loss, and the moments after the step.

        If the loss is not finite, no parameter changes. If a gradient or its square is not finite,
        the returned loss is NaN (optimiser-R14).
        """
        step = self.step
        step.work.run_phases(
            [step.prepare_batch, self.user_blocks, self.item_tasks, self.remaining_tasks]
        )
        if not math.isfinite(self.loss):
            return self.loss, self.moments
        after = self.moments._replace(step=self.moments.step + 1)
        sums_finite = math.isfinite(sum(self.square_sums))
        valid = sums_finite or moments_are_finite(after)  # a sum of finite values may overflow
        return self.loss if valid else self.loss * np.nan, after

    # Phase 2

    def user_blocks(self) -> Iterator[Task]:
        """Yield the tasks of phase 2 of `FusedStep`, and a task that prepares the update."""
        yield from self.step.user_blocks()
        yield self.prepare_update

    def prepare_update(self) -> None:
        """Compute Adam's scalars, and prepare the tasks of phase 3, before gradients are known.

        There is a task for each block of items, and one for each dense parameter whose gradient
        will be complete.
        """
        step, before = self.step, self.moments
        count, rate, config = before.step + 1, self.learning_rate, step.config
        self.numbers = adam_numbers(count, rate, config, step.dtype)
        dense_rate = rate * config.dense_rate  # optimiser-R22
        self.dense_numbers = adam_numbers(count, dense_rate, config, step.dtype)
        params = flatten(step.params)
        self.tables = {
            name: ParameterTables(x, before.first[name], before.second[name])
            for name, x in params.items()
        }
        self.identity_rows = all(step.forward.identity_rows)  # each item i has only table row i
        block_task = self.update_items if self.identity_rows else step.sum_block_gradients
        blocks = block_slices(len(step.d_vectors), BLOCK_ITEMS)
        self.prepared_tasks: list[Task] = [partial(block_task, items) for items in blocks]
        if not step.forward.exact:  # the gradients of all dense parameters are complete
            self.prepared_tasks += self.dense_tasks()

    # Phase 3

    def item_tasks(self) -> Iterator[Task]:
        """Set the loss. If it is finite, yield the tasks of `prepare_update`, and the profile's."""
        self.loss = self.step.mean_loss()
        prepared = self.prepared_tasks
        self.prepared_tasks = []  # remove the reference cycle with this object
        if not math.isfinite(self.loss):
            return
        yield from prepared
        if self.step.batch.histories.profile.size:
            yield self.update_profile

    # Phase 4

    def remaining_tasks(self) -> Iterator[Task]:
        """Yield the updates that need the gradients of all items."""
        if not math.isfinite(self.loss):
            return
        if self.step.forward.exact:  # the gradient of S comes from the votes of all items
            yield from self.dense_tasks()
        if not self.identity_rows:  # else `update_items` has updated them
            rows, values = self.step.item_gradient()
            for block in block_slices(len(rows), BLOCK_ITEMS):
                yield partial(self.update_table, "items", rows[block], values[block])

    # Tasks

    def dense_tasks(self) -> list[Task]:
        """Return the tasks that update matrices and biases."""
        parts = self.step.gradient_parts()
        return [partial(self.update_dense, name, x) for name, x in parts.items()]

    def update_dense(self, name: str, parts: Array) -> None:
        """Update a matrix or bias, whose gradient is the sum of `parts`, added in order."""
        tables = ParameterTables(*map(reshape_to_matrix, self.tables[name]))
        gradient = reshape_to_matrix(np.add.reduce(parts, axis=0))
        rows = np.arange(len(gradient))
        self.square_sums.append(update_rows(rows, gradient, tables, self.dense_numbers))

    def update_items(self, items: slice) -> None:
        """Sum the gradients of a block of items, and update the table rows of these items."""
        self.step.sum_block_gradients(items)
        rows = self.step.forward.item_rows[items].reshape(-1)  # one row for each item
        self.update_table("items", rows, self.step.d_vectors[items])

    def update_profile(self) -> None:
        """Update the rows of the table of user features."""
        self.update_table("profile", *self.step.profile_gradient())

    def update_table(self, name: str, rows: Ints, values: Array) -> None:
        """Update the rows `rows` of the table `name` with the gradients `values`."""
        self.square_sums.append(update_rows(rows, values, self.tables[name], self.numbers))


def moments_are_finite(moments: State) -> bool:
    """Return whether all second moments are finite."""
    return all(np.isfinite(x).all() for x in moments.second.values())


def reshape_to_matrix(x: Array) -> Array:
    """Return a matrix x (V, D) unchanged, and a vector (D,) as (1, D)."""
    return x if x.ndim > 1 else x.reshape(1, -1)


@jit
def update_rows(
    rows: Ints, gradient: Array, tables: ParameterTables, numbers: AdamNumbers
) -> Number:
    """Update the rows (R,) of a parameter and its moments (V, D) with gradients (R, D), in place.

    Returns the sum of the updated second moments. Second moments are never negative, so a
    finite sum means that all of them are finite.
    """
    params, first, second = tables
    rate, beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon = numbers
    total = params.dtype.type(0)
    for r in range(len(rows)):
        row = rows[r]
        if r + DISTANCE < len(rows):
            later = rows[r + DISTANCE]
            prefetch_row(params, later)
            prefetch_row(first, later)
            prefetch_row(second, later)
        for d in range(gradient.shape[1]):
            g = gradient[r, d]
            m = beta1 * first[row, d] + one_minus_beta1 * g  # optimiser-R1
            v = beta2 * second[row, d] + one_minus_beta2 * (g * g)
            first[row, d], second[row, d] = m, v
            total += v
            params[row, d] -= rate * m / (np.sqrt(v) + epsilon)
    return total
