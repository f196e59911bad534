"""Some steps of training that the checks of level 3 are fed with, away from every bend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.bends import steady
from mindref.conformance.draws.worlds import ITEMS, POOL, World, everything_in, worlds
from mindref.conformance.judging.call import Call
from mindref.models.mind import Batch
from mindref.models.parameters import Catalogue
from mindref.shapes import Ints

CALM: dict[str, tuple[Any, ...]] = {
    "iterations": (1, 2),
    "hidden": ((5,), ()),
    "power": (float("inf"), 1.0, 0.0),
    "beta1": (0.9, 0.5),
    "beta2": (0.999, 0.9),
    "epsilon": (0.1, 0.02, 0.5),
}
"""Settings under which several steps of training stay well conditioned."""


@st.composite
def trainings(
    draw: st.DrawFn,
    /,
    *,
    steps: int | None = None,
    becomes: Callable[[Call], Call] = lambda call: call,
    **fixed: Any,
) -> Call:
    """Draw calls for some steps of training, in which errors of rounding stay small.

    What is drawn is handed to `becomes` before it is accepted.
    """
    count = draw(st.integers(1, 3)) if steps is None else steps
    rate = draw(st.sampled_from((0.1, 0.01)))
    calm = {name: draw(st.sampled_from(values)) for name, values in CALM.items()}
    world = draw(
        worlds(
            steps=count,
            pool=POOL[:6],
            accept=lambda w: steady(becomes(training_call(w, rate))),
            **{**calm, **fixed},
        )
    )
    return becomes(training_call(world, rate))


def training_call(world: World, learning_rate: float) -> Call:
    """Return the question for a step with each of the batches.

    After `pause` steps, if that is not 0, training begins anew from what the state says.
    """
    arrays = {"params": world.params, "batches": world.batches, "catalogue": world.catalogue}
    numbers = {"config": world.config, "learning_rate": learning_rate, "pause": 0}
    return Call("training", arrays, numbers)


def with_a_silent_step(call: Call) -> Call:
    """Return a training with one step more, in which every gradient is zero (optimiser-R6).

    All users have one target and all negatives are that target, so that none is left: the loss is
    log 1. Rows are looked up as before.
    """
    batches = call.arrays["batches"]
    return call.change(batches=(*batches, silent(batches[-1])))


def with_a_silence_between(call: Call) -> Call:
    """Return a training of two steps with one of zero gradients between them (optimiser-R6)."""
    first, last = call.arrays["batches"]
    return call.change(batches=(first, silent(first), last))


def silent(batch: Batch) -> Batch:
    """Return a batch that looks up rows as before and of which every gradient is zero."""
    target, negatives = (
        np.repeat(batch.target[:1], len(x)) for x in (batch.target, batch.negatives)
    )
    return batch._replace(target=target, negatives=negatives)


def with_a_late_item(call: Call) -> Call:
    """Return a training that meets its last item in the last step only (optimiser-R2)."""
    *early, last = call.arrays["batches"]
    return call.change(batches=(*map(without_the_item, early), with_the_item(last)))


def with_an_item_at_rest(call: Call) -> Call:
    """Return a training that meets its last item in the first and the last step (optimiser-R5)."""
    first, *between, last = call.arrays["batches"]
    rest = map(without_the_item, between)
    return call.change(batches=(with_the_item(first), *rest, with_the_item(last)))


def without_the_item(batch: Batch) -> Batch:
    """Return a batch with item 0 wherever the last item of the catalogue stood."""

    def without(ids: Ints) -> Ints:
        return np.where(ids == ITEMS - 1, 0, ids)

    histories = batch.histories._replace(items=without(batch.histories.items))
    target, negatives = without(batch.target), without(batch.negatives)
    return batch._replace(histories=histories, target=target, negatives=negatives)


def with_the_item(batch: Batch) -> Batch:
    """Return a batch with the last item of the catalogue among its negatives."""
    return batch._replace(negatives=np.append(batch.negatives[1:], ITEMS - 1))


def with_every_row_named(call: Call) -> Call:
    """Return a training on items without features, each of them a negative (optimiser-R7)."""
    params = call.arrays["params"]
    ids = np.arange(ITEMS)[:, None]
    catalogue = Catalogue(ids, np.ones(ids.shape, call.dtype))
    batches = tuple(everything_in(one) for one in call.arrays["batches"])
    params = params._replace(items=params.items[:ITEMS])
    return call.change(params=params, batches=batches, catalogue=catalogue)
