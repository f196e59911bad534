"""Train on a small built-in log with the learner's operators (exercise 18).

Spec: specs/model.md, specs/optimiser.md. The order of the computation, the layers and the matrix S
are those of the library. The operators and the Adam step of the item table are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as library
from mindref.config import Config
from mindref.data.synthetic import make_synthetic_log
from mindref.models import mind
from mindref.models.parameters import Catalogue, Params, Sizes, flatten, flatten_gradients, init
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.training import optimiser
from mindref.training.batch_loader import BatchLoader, Task
from mindref.training.divergence import Diverged

AdamStep = Callable[..., tuple[Array, Array, Array]]
"""The function of exercise 17."""


class TrainingSetup(NamedTuple):
    """Settings, catalogue and batches of a training."""

    config: Config
    catalogue: Catalogue
    sizes: Sizes
    batches: tuple[mind.Batch, ...]


@cache
def make_training_setup(gradient: str, power: float, steps: int) -> TrainingSetup:
    """Return batches of a synthetic log; an item is the mean of its row and its shelf's row."""
    changes = {
        **{"interests": 3, "width": 6, "window": 5, "iterations": 3, "sigma": 1.0, "hidden": (8,)},
        **{"interest_count": "fixed", "routing_gradient": gradient, "power": power},
        **{"batch": 8, "negatives": 12, "steps": steps, "learning_rate": 0.02},
        **{"dtype": "float64", "backend": "numpy", "seed": 6},
    }
    config = Config.of("mind", changes)
    synthetic = make_synthetic_log(seed=6, users=30, items=96)
    count = len(synthetic.log.item_ids)
    rows = np.stack([np.arange(count), count + synthetic.item_shelf], axis=1)
    catalogue = Catalogue(rows, np.full(rows.shape, 0.5))
    sizes = Sizes(count, int(rows.max()) + 1, 0, 0)
    no_profile = np.zeros((len(synthetic.log.user_ids), 0), np.int64)
    feed = BatchLoader(Task(synthetic.log.interactions, no_profile, catalogue, sizes), config)
    return TrainingSetup(config, catalogue, sizes, tuple(feed.batch(step) for step in range(steps)))


def compute_losses(
    ops: Any,
    adam_step: AdamStep | None,
    gradient: str,
    power: float,
    steps: int,
    *,
    observe: Callable[[mind.Saved], None] = lambda saved: None,
) -> Array:
    """Train from the initial parameters and return the loss of every step (steps,).

    ops: a namespace with the operators of `mindref.ops.OPS`, as in specs/backend.md; adam_step: the
    step of the item table, None for the one of the library; observe: called with the saved values
    of each forward. Raises Diverged for a loss that is not finite.
    """
    config, catalogue, sizes, batches = make_training_setup(gradient, power, steps)
    params = init(np.random.default_rng(6), config, sizes)
    moments, losses = optimiser.init(flatten(params)), []
    for number, batch in enumerate(batches, 1):
        loss, saved = mind.loss(params, batch, catalogue, config, ops)
        if not np.isfinite(loss):
            raise Diverged(number, str(float(loss)))
        losses.append(float(loss))
        observe(saved)
        gradients = flatten_gradients(mind.backward(saved, ops=ops))
        rate = optimiser.learning_rate(config.learning_rate, config.decay, number - 1, steps)
        moments = update_parameters(params, gradients, moments, adam_step, rate, config)
    return np.array(losses)


def update_parameters(
    params: Params,
    gradients: Mapping[str, Array | RowGradient],
    moments: optimiser.State,
    adam_step: AdamStep | None,
    rate: float,
    config: Config,
) -> optimiser.State:
    """Take an Adam step and return the new moments; `adam_step` updates the item table."""
    items = gradients["items"]
    if adam_step is not None and isinstance(items, RowGradient):
        gradients = {name: x for name, x in gradients.items() if name != "items"}
        tables = (params.items, moments.first["items"], moments.second["items"])
        copies = (x.copy() for x in tables)
        new = adam_step(
            *copies,
            moments.step,
            items.rows,
            items.values,
            rate,
            config.beta1,
            config.beta2,
            config.epsilon,
        )
        for table, new_table in zip(tables, new, strict=True):
            table[:] = new_table
    return optimiser.update(
        flatten(params),
        gradients,
        moments,
        learning_rate=rate,
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
        dense=config.adam == "dense",
    )


@cache
def compute_reference_losses(gradient: str, power: float, steps: int) -> tuple[Array, Array]:
    """Return the losses of the reference (steps,), and the loss of each user (steps, B).

    The loss of a user is minus the log of the target's probability, 1 - sum of the negatives'.
    """
    user_losses: list[Array] = []
    losses = compute_losses(
        library, None, gradient, power, steps,
        observe=lambda saved: user_losses.append(-np.log1p(-saved.softmax.p_negatives.sum(axis=1))),
    )  # fmt: skip
    return losses, np.stack(user_losses)
