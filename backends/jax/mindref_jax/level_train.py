"""Level 3 of the backend: a training step that keeps parameters and moments where JAX computes.

Spec: specs/backend.md, specs/optimiser.md. One compiled function reads the rows that the batch
names, differentiates, and writes these rows back; buffers of the old state become the new one.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mindref.config import Config
from mindref.models.parameters import Catalogue, Params, flatten, unflatten
from mindref.training.optimiser import State as Moments
from mindref_jax import model
from mindref_jax.arrays import placed
from mindref_jax.level_model import TABLES, laid_out

UNIQUE = {"unique_indices": True, "wrap_negative_indices": False}


class State(NamedTuple):
    """What a training step moves; a step uses it up."""

    params: dict[str, Any]
    first: dict[str, Any]
    second: dict[str, Any]
    step: int = 0


def init(params: Params, config: Config, moments: Moments | None = None) -> State:
    """Return the state before the first step, or after those of `moments`, with own arrays."""
    named = {name: placed(x) for name, x in flatten(params).items()}
    if moments is None:
        first, second = ({name: jnp.zeros_like(x) for name, x in named.items()} for _ in range(2))
        return State(named, first, second)  # optimiser-R8
    first, second = (
        {name: placed(table[name]) for name in named} for table in (moments.first, moments.second)
    )
    return State(named, first, second, moments.step)


def step(
    state: State, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
) -> tuple[State, Any]:
    """Take one step of lazy Adam; return the next state and the loss before it.

    Nothing moves if the loss, a gradient or its square is not finite; the loss is then NaN if it
    was finite.
    """
    laid = laid_out(state.params, batch, catalogue, config)
    count = state.step + 1  # optimiser-R2
    root = math.sqrt(1 - config.beta2**count)
    rate = learning_rate * root / (1 - config.beta1**count)  # optimiser-R3
    rows = {name: x[:2] for name, x in zip(TABLES, laid[1:], strict=True)}
    (params, first, second), loss = take_step(
        state[:3], rows, laid.given, batch[1:3], (rate, root), config
    )
    return State(params, first, second, count if np.isfinite(loss) else state.step), loss


@partial(jax.jit, static_argnames="config", donate_argnums=0)
def take_step(
    state: Any, rows: Any, batch: Any, ids: Any, rates: tuple[Any, Any], config: Config
) -> tuple[Any, Any]:
    """Return parameters and both moments after a step, and the loss before it; NaN: not moved.

    rows: of each table the rows that are read, and where they are written to; outside the table
    nothing is written (optimiser-R5).
    """
    params, first, second = before = tuple(taken(named, rows) for named in state)
    loss, gradients = jax.value_and_grad(model.loss_of)(params, batch, ids, config)
    finite = [jnp.isfinite(x).all() for x in (loss, *(g * g for g in jax.tree.leaves(gradients)))]
    sound = jnp.stack(finite).all()  # optimiser-R14
    b1, b2, (rate, root) = config.beta1, config.beta2, rates
    every = jax.tree.map
    first = every(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)  # optimiser-R1
    second = every(lambda v, g: b2 * v + (1 - b2) * (g * g), second, gradients)
    params = every(  # optimiser-R4
        lambda x, m, v: x - rate * m / (jnp.sqrt(v) + config.epsilon * root), params, first, second
    )
    moved = (params, first, second)
    after = every(lambda new, old: jnp.where(sound, new, old), moved, before)
    loss = jnp.where(sound | ~jnp.isfinite(loss), loss, jnp.nan)
    return tuple(put(old, new, rows) for old, new in zip(state, after, strict=True)), loss


def taken(named: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Return arrays with those rows of the tables that a step reads.

    The barrier keeps the reading before the writing, which then needs no copy of a table.
    """
    tables = {
        name: named[name].at[read].get(mode="fill", fill_value=0, **UNIQUE)
        for name, (read, _) in rows.items()
    }
    found: dict[str, Any] = jax.lax.optimization_barrier(named | tables)
    return found


def put(old: dict[str, Any], new: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Return arrays after a step: of tables the rows that were named, of others all."""
    tables = {
        name: old[name].at[written].set(new[name], mode="drop", **UNIQUE)
        for name, (_, written) in rows.items()
    }
    return new | tables


def parameters(state: State) -> Params:
    """Return the parameters of a state: its own, good until the next step."""
    return unflatten(state.params)


def moments(state: State) -> Moments:
    """Return the moments of a state: its own, good until the next step."""
    return Moments(state.step, state.first, state.second)
