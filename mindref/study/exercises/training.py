"""The trainer of the library on a small built-in log, with operators from elsewhere (exercise 18).

Spec: specs/model.md, specs/optimiser.md. The layers, the matrix S and the order of everything are
the library's; operators and the step of Adam for the table of items may be somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as library
from mindref.config import Config
from mindref.data.synthetic import synthetic
from mindref.models import mind
from mindref.models.parameters import (
    Catalogue,
    Params,
    Sizes,
    flatten,
    flatten_gradients,
    init,
)
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.training import optimiser
from mindref.training.batch_loader import Feed, Task
from mindref.training.engine import check_finite

AdamStep = Callable[..., tuple[Array, Array, Array]]
"""As exercise 17 writes it."""


class Course(NamedTuple):
    """What is trained: everything but operators and optimiser."""

    config: Config
    catalogue: Catalogue
    sizes: Sizes
    batches: tuple[mind.Batch, ...]


@cache
def course(gradient: str, power: float, steps: int) -> Course:
    """Return batches of a small shop; an item is the mean of its own row and that of its shelf."""
    changes = {
        **{"interests": 3, "width": 6, "window": 5, "iterations": 3, "sigma": 1.0, "hidden": (8,)},
        **{"interest_count": "fixed", "routing_gradient": gradient, "power": power},
        **{"batch": 8, "negatives": 12, "steps": steps, "learning_rate": 0.02},
        **{"dtype": "float64", "backend": "numpy", "seed": 6},
    }
    config = Config.of("default", changes)
    made = synthetic(seed=6, users=30, items=96)
    count = len(made.log.item_ids)
    rows = np.stack([np.arange(count), count + made.item_shelf], axis=1)
    catalogue = Catalogue(rows, np.full(rows.shape, 0.5))
    sizes = Sizes(count, int(rows.max()) + 1, 0, 0)
    nobody = np.zeros((len(made.log.user_ids), 0), np.int64)
    feed = Feed(Task(made.log.events, nobody, catalogue, sizes), config)
    return Course(config, catalogue, sizes, tuple(feed.batch(step) for step in range(steps)))


def losses_of(
    ops: Any,
    adam_step: AdamStep | None,
    gradient: str,
    power: float,
    steps: int,
    *,
    watch: Callable[[mind.Saved], None] = lambda saved: None,
) -> Array:
    """Train from the first parameters and return the loss of every step (steps,).

    `ops` is a namespace with an operator of each name in `mindref.ops.OPS`, as in specs/backend.md;
    `adam_step` takes the step of the table of items, the library's if None. `watch` is shown what
    each forward has saved. Raises Diverged for a loss that is not finite.
    """
    config, catalogue, sizes, batches = course(gradient, power, steps)
    params = init(np.random.default_rng(6), config, sizes)
    moments, losses = optimiser.init(flatten(params)), []
    for number, batch in enumerate(batches, 1):
        found, saved = mind.loss(params, batch, catalogue, config, ops)
        losses.append(check_finite(float(found), number))
        watch(saved)
        gradients = flatten_gradients(mind.backward(saved, ops=ops))
        rate = optimiser.learning_rate(config.learning_rate, config.decay, number - 1, steps)
        moments = updated(params, gradients, moments, adam_step, rate, config)
    return np.array(losses)


def updated(
    params: Params,
    gradients: Mapping[str, Array | RowGradient],
    moments: optimiser.State,
    adam_step: AdamStep | None,
    rate: float,
    config: Config,
) -> optimiser.State:
    """Take a step of Adam, that of the items by way of `adam_step`; return the new moments."""
    first, second, items = moments.first["items"], moments.second["items"], gradients["items"]
    if adam_step is not None and isinstance(items, RowGradient):
        gradients = {name: x for name, x in gradients.items() if name != "items"}
        numbers = (rate, config.beta1, config.beta2, config.epsilon)
        given = (params.items.copy(), first.copy(), second.copy(), moments.step)
        new = adam_step(*given, items.rows, items.values, *numbers)
        params.items[:], first[:], second[:] = new
    return optimiser.update(
        flatten(params),
        gradients,
        moments,
        learning_rate=rate,
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
    )


@cache
def by_the_library(gradient: str, power: float, steps: int) -> tuple[Array, Array]:
    """Return the losses of the reference (steps,), and those of each user of the batch (steps, B).

    A user's loss is minus the log of the target's probability, which is what the negatives leave.
    """
    shares: list[Array] = []
    losses = losses_of(
        library, None, gradient, power, steps,
        watch=lambda saved: shares.append(-np.log1p(-saved.softmax.p_negatives.sum(axis=1))),
    )  # fmt: skip
    return losses, np.stack(shares)
