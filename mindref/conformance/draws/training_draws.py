"""Draw inputs of short trainings (backend level 3) in which every loss is differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.model_draws import (
    ITEMS,
    POOL,
    ModelCase,
    draw_models,
    full_softmax_batch,
)
from mindref.conformance.draws.nondifferentiable import is_well_conditioned
from mindref.conformance.runner.call import Call
from mindref.conformance.strategies import share_strategy
from mindref.models.mind import Batch
from mindref.models.parameters import Catalogue
from mindref.shapes import Ints

STABLE_SETTINGS: dict[str, tuple[Any, ...]] = {
    "iterations": (1, 2),
    "hidden": ((5,), ()),
    "power": (float("inf"), 1.0, 0.0),
    "beta1": (0.9, 0.5),
    "beta2": (0.999, 0.9),
    "epsilon": (0.1, 0.02, 0.5),
    "dense_rate": (1.0, 0.1),
}
"""Setting -> values to draw. With these values, rounding errors stay small over several steps."""


@share_strategy
@st.composite
def draw_trainings(
    draw: st.DrawFn,
    /,
    *,
    steps: int | None = None,
    change_call: Callable[[Call], Call] = lambda call: call,
    **fixed: Any,
) -> Call:
    """Draw trainings of `steps` steps (default: one to three) with small rounding errors.

    `change_call` changes each drawn call before `is_well_conditioned` accepts or rejects the call.
    """
    count = draw(st.integers(1, 3)) if steps is None else steps
    rate = draw(st.sampled_from((0.1, 0.01)))
    stable = {name: draw(st.sampled_from(values)) for name, values in STABLE_SETTINGS.items()}

    def make_call(world: ModelCase) -> Call:
        return change_call(training_call(world, rate))

    def accept(world: ModelCase) -> bool:
        return is_well_conditioned(make_call(world))

    models = draw_models(steps=count, pool=POOL[:6], accept=accept, **{**stable, **fixed})
    return make_call(draw(models))


def training_call(world: ModelCase, learning_rate: float) -> Call:
    """Return a call that trains for one step on each batch of `world`.

    If `pause` is n > 0, the training restarts after n steps, from its parameters and moments.
    """
    arrays = {"params": world.params, "batches": world.batches, "catalogue": world.catalogue}
    numbers = {"config": world.config, "learning_rate": learning_rate, "pause": 0}
    return Call("training", arrays, numbers)


def with_zero_gradient_step(call: Call) -> Call:
    """Return the training with one more step, in which every gradient is zero (optimiser-R6).

    In this step, all targets and negatives are the same item. All negatives are masked as
    accidental hits, so the loss is log 1 = 0.
    """
    batches = call.arrays["batches"]
    return call.change(batches=(*batches, zero_gradient_batch(batches[-1])))


def with_zero_gradients_between(call: Call) -> Call:
    """Insert a step with zero gradients between the two steps of the training (optimiser-R6)."""
    first, last = call.arrays["batches"]
    return call.change(batches=(first, zero_gradient_batch(first), last))


def zero_gradient_batch(batch: Batch) -> Batch:
    """Replace all targets and negatives by the first target, so that all gradients are zero."""
    target = np.repeat(batch.target[:1], len(batch.target))
    return batch._replace(target=target, negatives=np.repeat(target[:1], len(batch.negatives)))


def with_late_item(call: Call) -> Call:
    """Return a training that uses item `ITEMS - 1` only in the last step (optimiser-R2)."""
    *early, last = call.arrays["batches"]
    return call.change(batches=(*map(without_last_item, early), with_last_item(last)))


def with_skipped_item(call: Call) -> Call:
    """Return a training with item `ITEMS - 1` only in the first and last step (optimiser-R5)."""
    first, *between, last = call.arrays["batches"]
    middle = map(without_last_item, between)
    return call.change(batches=(with_last_item(first), *middle, with_last_item(last)))


def without_last_item(batch: Batch) -> Batch:
    """Return the batch with item 0 in place of item `ITEMS - 1`."""

    def without(ids: Ints) -> Ints:
        return np.where(ids == ITEMS - 1, 0, ids)

    histories = batch.histories._replace(items=without(batch.histories.items))
    target, negatives = without(batch.target), without(batch.negatives)
    return batch._replace(histories=histories, target=target, negatives=negatives)


def with_last_item(batch: Batch) -> Batch:
    """Return the batch with item `ITEMS - 1` in place of the first negative."""
    return batch._replace(negatives=np.append(batch.negatives[1:], ITEMS - 1))


def with_every_row_used(call: Call) -> Call:
    """Return a training without item features; all items are negatives (optimiser-R7)."""
    params = call.arrays["params"]
    ids = np.arange(ITEMS)[:, None]
    catalogue = Catalogue(ids, np.ones(ids.shape, call.dtype))
    batches = tuple(full_softmax_batch(one) for one in call.arrays["batches"])
    params = params._replace(items=params.items[:ITEMS])
    return call.change(params=params, batches=batches, catalogue=catalogue)
