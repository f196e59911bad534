"""A training step written directly in JAX: one jitted function, as an opponent in benchmarks.

It computes the same function as mindref for every recipe of `choices.MODELS`. The host finds the
distinct items of a batch. The step gathers their rows, differentiates with respect to these rows,
and writes only them, as lazy Adam requires. The buffers of the state are donated and updated in
place. The number of rows is rounded up to a multiple of BUCKET, so that few shapes are compiled;
the additional rows are outside the table. The factors of dropout are part of the batch.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array as JaxArray

from mindref.bench.workload import Workload, split_batch
from mindref.config import Config
from mindref.models.family import family_of
from mindref.models.parameters import flatten, unflatten
from mindref.shapes import Array

INF = float("inf")
BUCKET = 1024
UNIQUE = {"unique_indices": True, "indices_are_sorted": True}


class IndexedBatch(NamedTuple):
    """A batch whose items are indices into its distinct items; NumPy arrays before the step."""

    rows: JaxArray  # (T,) rows of the table, ascending; the last are outside the table
    history: JaxArray  # (B, L) indices
    mask: JaxArray  # (B, L)
    logits: JaxArray  # (B, L, K)
    keep: JaxArray | None  # (B, L, D) factors of dropout
    target: JaxArray  # (B,) indices
    negatives: JaxArray  # (S,) indices
    target_log_expected: JaxArray  # (B,)
    negative_log_expected: JaxArray  # (S,)


Tables = dict[str, JaxArray]  # parameters, or moments, by name


class AdamState(NamedTuple):
    """Parameters and moments by name, and the number of steps."""

    params: Tables
    first: Tables
    second: Tables
    step: JaxArray


def vector_length(x: JaxArray) -> JaxArray:
    """Return the length along the last axis (..., 1); 0 has a zero gradient."""
    square = (x * x).sum(-1, keepdims=True)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def jax_squash(x: JaxArray) -> JaxArray:
    """Return x n / (1 + n^2), where n is the length along the last axis."""
    n = vector_length(x)
    return x * (n / (1 + n * n))


def to_unit_vectors(x: JaxArray) -> JaxArray:
    """Return vectors of length one; zero for zero."""
    n = vector_length(x)
    return x / jnp.where(n > 0, n, 1)


def count_active(lengths: JaxArray, config: Config) -> JaxArray:
    """Return the number of active interests of users with these numbers of behaviours."""
    if config.interest_count == "fixed":
        return jnp.where(lengths > 0, config.interests, 1)
    # lengths that start further interests; no history has 2^30 behaviours
    starts = 2 ** jnp.arange(2, min(config.interests, 30) + 1)
    return 1 + jnp.searchsorted(starts, lengths, side="right")


def jax_interests(
    params: Tables, vectors: JaxArray, mask: JaxArray, logits: JaxArray, config: Config
) -> tuple[JaxArray, JaxArray]:
    """Return interests (B, K, D) and active from behaviour vectors (B, L, D), zero for padding.

    Products use flattened rows, because XLA is slow in sums over two axes. Logits have the shape
    (B, K, L) for the same reason. Without routing there is one interest.
    """
    lengths, width = mask.sum(1), vectors.shape[2]
    if not family_of(config.model).routes:
        mean = vectors.sum(1) / jnp.maximum(lengths, 1)[:, None]
        return map_through_layers(params, mean[:, None]), jnp.ones((len(mask), 1), bool)
    active = jnp.arange(config.interests) < count_active(lengths, config)[:, None]
    votes = vectors
    if "bilinear" in params:
        votes = (vectors.reshape(-1, width) @ params["bilinear"].T).reshape(vectors.shape)
    factors = None
    if "positions" in params:  # of padding too, whose votes are zero
        ages = jnp.maximum(lengths[:, None] - 1 - jnp.arange(mask.shape[1]), 0)
        factors = jnp.exp(params["positions"])[ages].transpose(0, 2, 1)  # (B, K + M, L)
    capsules, contexts = route_votes(votes, logits, active, factors, config)
    out = capsules
    if "layers.0.weight" in params:
        out = map_through_layers(params, capsules, contexts.reshape(len(mask), -1))
    return jnp.where(active[..., None], out, 0), active


def route_votes(
    votes: JaxArray, logits: JaxArray, active: JaxArray, factors: JaxArray | None, config: Config
) -> tuple[JaxArray, JaxArray]:
    """Return capsules (B, K, D) and contexts (B, M, D); coupling weights have no gradient.

    Contexts are further rows of the last product.
    """
    count, fixed = config.interests, jax.lax.stop_gradient(votes)
    constant = 1 if factors is None else jax.lax.stop_gradient(factors[:, :count])
    logits = jnp.where(active[..., None], logits.transpose(0, 2, 1), -INF)
    for _ in range(config.iterations - 1):
        capsules = jax_squash((jax.nn.softmax(logits, axis=1) * constant) @ fixed)
        logits = logits + capsules @ fixed.transpose(0, 2, 1)
    weights = jax.nn.softmax(logits, axis=1)
    if factors is not None:
        weights = jnp.concatenate([weights * factors[:, :count], factors[:, count:]], 1)
    out = jax_squash(weights @ votes)
    return out[:, :count], out[:, count:]


def map_through_layers(params: Tables, x: JaxArray, contexts: JaxArray | None = None) -> JaxArray:
    """Return the output of the layers (B, K, D); only the last layer is linear.

    The first layer also reads the contexts (B, M D) of the user, once for all interests.
    """
    users, count, width = x.shape
    x, last = x.reshape(users * count, width), sum(name.endswith("weight") for name in params) - 1
    for i in range(last + 1):
        weight, bias = params[f"layers.{i}.weight"], params[f"layers.{i}.bias"]
        if i == 0 and contexts is not None and contexts.shape[1]:
            shared = contexts @ weight[width:]
            x = x @ weight[:width] + jnp.repeat(shared, count, axis=0) + bias
        else:
            x = x @ weight + bias
        x = jax.nn.relu(x) if i < last else x
    return x.reshape(users, count, -1)


def attend(interests: JaxArray, target: JaxArray, active: JaxArray, config: Config) -> JaxArray:
    """Return user vectors (B, D): label-aware attention with the target (B, D) as query."""
    if interests.shape[1] == 1:
        return interests[:, 0]
    scores = jnp.einsum("bkd,bd->bk", interests, target)
    if config.power == INF:
        best = jnp.where(active, scores, -INF).argmax(1)
        return jnp.take_along_axis(interests, best[:, None, None], axis=1)[:, 0]
    raised = jnp.sign(scores) * jnp.abs(scores) ** config.power
    weights = jax.nn.softmax(jnp.where(active, raised, -INF), axis=1)
    return jnp.einsum("bk,bkd->bd", weights, interests)


def batch_loss(params: Tables, batch: IndexedBatch, config: Config) -> JaxArray:
    """Return the mean loss of a batch. The item table has only the rows of the batch."""
    table = params["items"]
    vectors = jnp.where(batch.mask[..., None], table[batch.history], 0)
    vectors = vectors if batch.keep is None else vectors * batch.keep
    interests, active = jax_interests(params, vectors, batch.mask, batch.logits, config)
    target, negatives = table[batch.target], table[batch.negatives]
    if config.normalise:
        interests, target, negatives = map(to_unit_vectors, (interests, target, negatives))
    if config.attention != "pooled":
        interests = attend(interests, target, active, config)[:, None]
        active = active[:, :1]  # the first interest is always active
    users, count, width = interests.shape
    interests = interests / config.temperature
    products = (interests.reshape(-1, width) @ negatives.T).reshape(users, count, -1)
    hits = batch.negatives == batch.target[:, None]
    hidden = hits[:, None] | ~active[..., None]
    # the number of active interests, by which pooling divides, cancels
    negative_score = jax.nn.logsumexp(
        jnp.where(hidden, -INF, products - batch.negative_log_expected), (1, 2)
    )
    target_products = jnp.einsum("bkd,bd->bk", interests, target)
    target_score = (
        jax.nn.logsumexp(jnp.where(active, target_products, -INF), 1) - batch.target_log_expected
    )
    return jax.nn.softplus(negative_score - target_score).mean()


@partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def train_step(state: AdamState, batch: IndexedBatch, config: Config) -> tuple[AdamState, JaxArray]:
    """Return the state after one step of lazy Adam, and the loss."""
    tree_map, rows = jax.tree.map, batch.rows

    def gather(arrays: Tables) -> Tables:
        # the barrier orders reads of the table before its update, so that it is updated in place
        items = arrays["items"].at[rows].get(mode="fill", fill_value=0, **UNIQUE)
        return jax.lax.optimization_barrier({**arrays, "items": items})

    def scatter(arrays: Tables, values: Tables) -> Tables:
        items = arrays["items"].at[rows].set(values["items"], mode="drop", **UNIQUE)
        return {**values, "items": items}

    params, first, second = map(gather, state[:3])
    loss, gradients = jax.value_and_grad(batch_loss)(params, batch, config)
    step = state.step + 1
    root = jnp.sqrt(1 - config.beta2**step)
    rate = config.learning_rate * root / (1 - config.beta1**step)
    first = tree_map(lambda m, g: config.beta1 * m + (1 - config.beta1) * g, first, gradients)
    second = tree_map(lambda v, g: config.beta2 * v + (1 - config.beta2) * g * g, second, gradients)
    params = tree_map(
        lambda x, m, v: x - rate * m / (jnp.sqrt(v) + config.epsilon * root), params, first, second
    )
    params, first, second = map(scatter, state[:3], (params, first, second))
    return AdamState(params, first, second, step), loss


class JaxJitContender:
    """The jitted JAX step as a contender. A step waits for its loss, as in `mindref train`."""

    level, device = "framework", "cpu"

    def __init__(self, workload: Workload) -> None:
        jax.config.update("jax_enable_x64", workload.settings.dtype == "float64")
        self.workload, self.config = workload, workload.config
        initial = workload.params()
        self.kind, arrays = type(initial), flatten(initial)
        self.empty_arrays = {name: x for name, x in arrays.items() if not x.size}
        params = {name: jnp.array(x) for name, x in arrays.items() if x.size}
        first, second = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        self.state = AdamState(params, first, second, jnp.zeros((), self.config.dtype))
        self.number = np.zeros(len(initial.items), np.int32)  # of an item among the distinct ones
        self.is_used = np.zeros(len(initial.items), bool)

    def step(self, number: int) -> Array:
        """Take a step with a batch of the workload; return the loss."""
        self.state, loss = train_step(self.state, self.index_batch(number), self.config)
        return np.asarray(loss)

    def index_batch(self, number: int) -> IndexedBatch:
        """Return a batch whose items are indices into its distinct items; padding has index 0."""
        batch, keep = split_batch(self.workload.batches[number])
        items, mask, logits, _ = batch.histories
        for ids in (items[mask], batch.target, batch.negatives):
            self.is_used[ids] = True
        distinct = np.flatnonzero(self.is_used)
        self.is_used[distinct] = False
        self.number[distinct] = np.arange(len(distinct))
        size = math.ceil(len(distinct) / BUCKET) * BUCKET
        rows = len(self.number) + np.arange(-len(distinct), size - len(distinct), dtype=np.int32)
        rows[: len(distinct)] = distinct
        history = np.where(mask, self.number[items], 0)
        return IndexedBatch(
            rows=rows,
            history=history,
            mask=mask,
            logits=logits,
            keep=keep,
            target=self.number[batch.target],
            negatives=self.number[batch.negatives],
            target_log_expected=batch.target_log_expected,
            negative_log_expected=batch.negative_log_expected,
        )

    @property
    def params(self) -> Any:
        """The current parameters."""
        arrays = {name: np.array(x) for name, x in self.state.params.items()}
        return unflatten(self.empty_arrays | arrays, self.kind)
