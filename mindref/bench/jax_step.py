"""A training step as a good user of JAX writes it: one jitted function with static shapes.

The same function as ours, for `mindref bench` to compare with. The distinct rows of the table are
found on the host, gathered first, and the loss is differentiated with respect to them, so that no
gradient has the size of the table; lazy Adam writes just these rows. Buffers of the state are
donated and so changed in place. The number of distinct rows is rounded up to a multiple of BUCKET,
with rows outside the table that are dropped again, so that few sizes are ever compiled.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mindref.bench.world import World
from mindref.config import Config
from mindref.data.batches import lay_out_histories
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.models.mind import Batch
from mindref.models.parameters import Layer, Params
from mindref.shapes import Ints

INF = float("inf")
BUCKET = 1024
BLOCK = 64  # users at a time in search: bounds the memory of their scores
UNIQUE = {"unique_indices": True, "indices_are_sorted": True}


class Inputs(NamedTuple):
    """A batch, with items numbered among its distinct ones."""

    rows: Any  # (T,) rows of the table, ascending; beyond the table for what fills up
    history: Any  # (B, L) numbers
    mask: Any  # (B, L)
    logits: Any  # (B, L, K)
    target: Any  # (B,) numbers
    negatives: Any  # (S,) numbers
    logs: tuple[Any, Any]


class State(NamedTuple):
    """Parameters, moments and how many steps were taken."""

    table: Any
    rest: Any
    first: tuple[Any, Any]  # of the table and of the rest
    second: tuple[Any, Any]
    step: Any


def squash(x: Any) -> Any:
    """Return x n / (1 + n^2) for the length n of the last axis; zero and its slope at zero."""
    square = (x * x).sum(-1, keepdims=True)
    n = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return x * (n / (1 + square))


def interests(rest: Any, vectors: Any, mask: Any, logits: Any, iterations: int) -> tuple[Any, Any]:
    """Map vectors of behaviours (B, L, D), zero for pads, to interests (B, K, D) and active.

    Products with a matrix are made of flat rows: XLA has no quick one that sums over two axes, as
    their gradients would. Logits stand as (B, K, L) for the same reason.
    """
    bilinear, layers = rest
    users, counts, width = len(mask), logits.shape[2], vectors.shape[2]
    starts = 2 ** jnp.arange(2, counts + 1)  # of interests beside the first, which is always there
    active = jnp.arange(counts) <= jnp.searchsorted(starts, mask.sum(1), side="right")[:, None]
    votes = (vectors.reshape(-1, width) @ bilinear.T).reshape(vectors.shape)
    fixed = jax.lax.stop_gradient(votes)
    logits = jnp.where(active[..., None], logits.transpose(0, 2, 1), -INF)
    for _ in range(iterations - 1):
        weights = jax.nn.softmax(logits, axis=1)
        logits = logits + squash(weights @ fixed) @ fixed.transpose(0, 2, 1)
    weights = jax.nn.softmax(logits, axis=1)  # of nothing that is differentiated
    x = squash(weights @ votes).reshape(users * counts, width)
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    out = (x @ weight + bias).reshape(users, counts, width)
    return jnp.where(active[..., None], out, 0), active


def attend(users: Any, target: Any, active: Any, power: float) -> Any:
    """Read the interests (B, K, D) with the target (B, D) as the query."""
    scores = jnp.einsum("bkd,bd->bk", users, target)
    if power == INF:
        best = jnp.where(active, scores, -INF).argmax(1)
        return jnp.take_along_axis(users, best[:, None, None], axis=1)[:, 0]
    raised = jnp.sign(scores) * jnp.abs(scores) ** power
    weights = jax.nn.softmax(jnp.where(active, raised, -INF), axis=1)
    return jnp.einsum("bk,bkd->bd", weights, users)


def loss(table_rows: Any, rest: Any, given: Inputs, iterations: int, power: float) -> Any:
    """Return the mean loss of a batch: softmax over the target and shared negatives."""
    vectors = jnp.where(given.mask[..., None], table_rows[given.history], 0)
    users, active = interests(rest, vectors, given.mask, given.logits, iterations)
    its, theirs = table_rows[given.target], table_rows[given.negatives]
    user = attend(users, its, active, power)
    at_target = (user * its).sum(1) - given.logs[0]
    at_negatives = user @ theirs.T - given.logs[1]
    at_negatives = jnp.where(given.negatives == given.target[:, None], -INF, at_negatives)
    scores = jnp.concatenate([at_target[:, None], at_negatives], axis=1)
    return (jax.nn.logsumexp(scores, axis=1) - at_target).mean()


@partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def take_step(state: State, given: Inputs, config: Config) -> tuple[State, Any]:
    """Take one step of Adam, lazy on the rows of the table."""
    rows = given.rows

    def gathered(table: Any, rest: Any) -> Any:
        # the barrier keeps reads of the table before its update, which then is made in place
        return jax.lax.optimization_barrier(
            (table.at[rows].get(mode="fill", fill_value=0, **UNIQUE), rest)
        )

    def scatter(table: Any, values: Any) -> Any:
        return table.at[rows].set(values, mode="drop", **UNIQUE)

    params = gathered(state.table, state.rest)
    differentiate = jax.value_and_grad(loss, argnums=(0, 1))
    found, gradients = differentiate(*params, given, config.iterations, config.power)
    step = state.step + 1
    root = jnp.sqrt(1 - config.beta2**step)
    rate = config.learning_rate * root / (1 - config.beta1**step)

    first, second = gathered(*state.first), gathered(*state.second)
    every = jax.tree.map
    first = every(lambda m, g: config.beta1 * m + (1 - config.beta1) * g, first, gradients)
    second = every(lambda v, g: config.beta2 * v + (1 - config.beta2) * g * g, second, gradients)
    params = every(
        lambda x, m, v: x - rate * m / (jnp.sqrt(v) + config.epsilon * root), params, first, second
    )
    return State(
        scatter(state.table, params[0]),
        params[1],
        (scatter(state.first[0], first[0]), first[1]),
        (scatter(state.second[0], second[0]), second[1]),
        step,
    ), found


@partial(jax.jit, static_argnames=("iterations",))
def serve(
    table: Any, rest: Any, history: Any, mask: Any, logits: Any, iterations: int
) -> tuple[Any, Any]:
    """Return interests and active of a block of users."""
    vectors = jnp.where(mask[..., None], table[history], 0)
    return interests(rest, vectors, mask, logits, iterations)


@partial(jax.jit, static_argnames=("n",))
def best(table: Any, users: Any, active: Any, seen: Any, n: int) -> Any:
    """Return the n best items of a block of users; seen (B, W): not these, ids padded with any
    outside the table."""
    scores = jnp.einsum("bkd,nd->bkn", users, table)
    scores = jnp.where(active[..., None], scores, -INF).max(1)
    rows = jnp.arange(len(users))[:, None]
    scores = scores.at[rows, seen].set(-INF, mode="drop")
    return jax.lax.top_k(scores, n)[1]


class Subject:
    """The step of JAX as the bench holds it."""

    level, device = "framework", "cpu"

    def __init__(self, world: World) -> None:
        jax.config.update("jax_enable_x64", world.settings.dtype == "float64")
        self.world, self.config = world, world.config
        items, _, bilinear, layers = world.params()
        rest = (jnp.array(bilinear), tuple((jnp.array(w), jnp.array(b)) for w, b in layers))
        table = jnp.array(items)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        moments = [(zeros(table), zeros(rest)) for _ in range(2)]
        self.state = State(table, rest, moments[0], moments[1], jnp.zeros((), table.dtype))

    def step(self, number: int) -> Any:
        """Take a step with a batch of the world; return the loss before it is computed."""
        given = numbered(self.world.batches[number], self.world.settings.catalogue)
        self.state, found = take_step(self.state, given, self.config)
        return found

    def wait(self) -> None:
        """Return when all steps are done."""
        jax.block_until_ready(self.state)

    @property
    def params(self) -> Params:
        """The parameters as they are now."""
        bilinear, layers = jax.tree.map(np.array, self.state.rest)
        nothing = np.zeros((0, self.config.profile_width), self.config.dtype)
        own = tuple(Layer(weight, bias) for weight, bias in layers)
        return Params(np.array(self.state.table), nothing, bilinear, own)

    def interests(self, histories: Ragged) -> tuple[Any, Any]:
        """Return interests (C, K, D) and active (C, K), in blocks as we serve them."""
        items, mask = lay_out_histories(histories, self.config.window)
        logits = serving.serving_logits(self.config, self.world.settings.catalogue, items)
        blocks = []
        for at in range(0, len(items), serving.BLOCK):
            some = slice(at, at + serving.BLOCK)
            given = (items[some].astype(np.int32), mask[some], logits[some])
            state = self.state
            blocks.append(serve(state.table, state.rest, *given, self.config.iterations))
        vectors, active = (jnp.concatenate(parts) for parts in zip(*blocks, strict=True))
        return jax.block_until_ready((vectors, active))

    def top(self, users: tuple[Any, Any], n: int, exclude: Ragged | None) -> Ints:
        """Return the n best items of each user (C, n): scores of a block of users, then top_k.

        Last bits depend on the block.
        """
        outside = np.full((len(users[0]), 1), self.world.settings.catalogue, np.int64)
        if exclude is not None:
            items, mask = lay_out_histories(exclude, int(exclude.lengths.max(initial=1)))
            outside = np.where(mask, items, self.world.settings.catalogue)
        found = []
        for at in range(0, len(users[0]), BLOCK):
            some = slice(at, at + BLOCK)
            its = (users[0][some], users[1][some], outside[some].astype(np.int32))
            found.append(best(self.state.table, *its, n))
        return np.concatenate([np.asarray(x, np.int64) for x in found])


def numbered(batch: Batch, count: int) -> Inputs:
    """Return a batch with its distinct items found; a padded place has the number 0, unused."""
    items, mask, logits, _ = batch.histories
    ids = np.concatenate([items[mask], batch.target, batch.negatives])
    distinct, number = np.unique(ids, return_inverse=True)
    size = math.ceil(len(distinct) / BUCKET) * BUCKET
    rows = np.arange(count - len(distinct), count - len(distinct) + size)  # rest: beyond the table
    rows[: len(distinct)] = distinct
    history = np.zeros(mask.shape, np.int32)
    behaviours, targets = int(mask.sum()), len(batch.target)
    history[mask] = number[:behaviours]
    at_target, at_negatives = np.split(number[behaviours:].astype(np.int32), [targets])
    logs = (batch.target_log_expected, batch.negative_log_expected)
    return Inputs(rows.astype(np.int32), history, mask, logits, at_target, at_negatives, logs)
