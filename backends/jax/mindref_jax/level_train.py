"""Level 3 of the backend: a training step with parameters and moments on the device.

Spec: specs/backend.md, specs/optimiser.md. One compiled function reads the rows of the batch,
differentiates, and writes these rows. The new state reuses the buffers of the old state.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mindref.config import Config
from mindref.models.parameters import Catalogue, Params, flatten, unflatten
from mindref.training.optimiser import State as Moments
from mindref_jax import model
from mindref_jax.arrays import copy_from_numpy
from mindref_jax.layout import Rows
from mindref_jax.level_model import TABLES, check_and_prepare, settings_of_loss
from mindref_jax.model import AnyBatch, Batch

UNIQUE = {"unique_indices": True, "wrap_negative_indices": False}


class State(NamedTuple):
    """The state of a training; a step invalidates the old state."""

    params: model.Params
    first: model.Params
    second: model.Params
    step: int = 0
    kind: type[Any] = Params  # of the parameters: of MIND or of mind_plus


def init(params: Params, config: Config, moments: Moments | None = None) -> State:
    """Return the initial state, or the state that continues from `moments`; arrays are copied."""
    flat_params = {name: copy_from_numpy(x) for name, x in flatten(params).items()}
    if moments is None:
        first, second = (
            {name: copy_from_numpy(np.zeros(x.shape, x.dtype)) for name, x in flat_params.items()}
            for _ in range(2)
        )
        return State(flat_params, first, second, kind=type(params))  # optimiser-R8
    first, second = (
        {name: copy_from_numpy(table[name]) for name in flat_params}
        for table in (moments.first, moments.second)
    )
    return State(flat_params, first, second, moments.step, type(params))


def step(
    state: State, batch: AnyBatch, catalogue: Catalogue, config: Config, learning_rate: float
) -> tuple[State, Array]:
    """Take one step of lazy Adam; return the next state and the loss before the step.

    If the loss, a gradient or its square is not finite, the state is unchanged. Then a finite loss
    is returned as NaN.
    """
    prepared = check_and_prepare(state.params, batch, catalogue, config)
    count = state.step + 1  # optimiser-R2
    root = math.sqrt(1 - config.beta2**count)
    rate = learning_rate * root / (1 - config.beta1**count)  # optimiser-R3
    rows = dict(zip(TABLES, (prepared.items, prepared.profile), strict=True))
    (params, first, second), loss = take_step(
        state[:3],
        rows,
        prepared.arrays,
        prepared.ids,
        rate=rate,
        root=root,
        config=settings_of_loss(config),
    )
    count = count if np.isfinite(loss) else state.step
    return State(params, first, second, count, state.kind), loss


@partial(jax.jit, static_argnames="config", donate_argnums=0)
def take_step(
    state: tuple[model.Params, model.Params, model.Params],
    rows: dict[str, Rows],
    batch: Batch,
    ids: tuple[Array, Array],
    *,
    rate: float,
    root: float,
    config: Config,
) -> tuple[tuple[model.Params, ...], Array]:
    """Return parameters and moments after a step, and the loss before it; NaN if unchanged.

    rate: the corrected learning rate (optimiser-R3). root: factor of epsilon (optimiser-R4).
    """
    params, first, second = before = tuple(gather_rows(arrays, rows) for arrays in state)
    loss, gradients = jax.value_and_grad(model.loss_from_rows)(params, batch, ids, config)
    squares = [jnp.max(jnp.abs(g), initial=0) ** 2 for g in jax.tree.leaves(gradients)]
    all_finite = jnp.isfinite(jnp.stack([loss, *squares])).all()  # optimiser-R14
    b1, b2 = config.beta1, config.beta2
    map_arrays = jax.tree.map
    first = map_arrays(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)  # optimiser-R1
    second = map_arrays(lambda v, g: b2 * v + (1 - b2) * (g * g), second, gradients)
    rates = {name: rate if name in rows else rate * config.dense_rate for name in params}  # R26
    params = map_arrays(  # optimiser-R4
        lambda rate, x, m, v: x - rate * m / (jnp.sqrt(v) + config.epsilon * root),
        rates,
        params,
        first,
        second,
    )
    moved = (params, first, second)
    after = map_arrays(lambda new, old: jnp.where(all_finite, new, old), moved, before)
    loss = jnp.where(all_finite | ~jnp.isfinite(loss), loss, jnp.nan)
    return tuple(scatter_rows(old, new, rows) for old, new in zip(state, after, strict=True)), loss


def gather_rows(arrays: model.Params, rows: dict[str, Rows]) -> model.Params:
    """Return arrays with only the rows of the tables that a step reads.

    The barrier makes XLA read before it writes. Then writing needs no copy of a table.
    """
    tables = {
        name: arrays[name].at[used.read].get(mode="fill", fill_value=0, **UNIQUE)
        for name, used in rows.items()
    }
    gathered: model.Params = jax.lax.optimization_barrier(arrays | tables)
    return gathered


def scatter_rows(old: model.Params, new: model.Params, rows: dict[str, Rows]) -> model.Params:
    """Return arrays after a step: tables with the written rows, other arrays as a whole."""
    tables = {
        name: old[name].at[used.written].set(new[name], mode="drop", **UNIQUE)
        for name, used in rows.items()
    }
    return new | tables


def parameters(state: State) -> Params:
    """Return the parameters of a state without a copy, valid until the next step."""
    return unflatten(state.params, state.kind)


def moments(state: State) -> Moments:
    """Return the moments of a state without a copy, valid until the next step."""
    return Moments(state.step, state.first, state.second)
