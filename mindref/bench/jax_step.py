"""A training step written directly in JAX, one jitted function with static shapes, for benchmarks.

It computes the same function as mindref. The host finds the distinct rows of the item table. The
step gathers these rows and differentiates the loss with respect to them, so that no gradient has
the size of the table. Lazy Adam writes only these rows. State buffers are donated and updated in
place. The number of rows is rounded up to a multiple of BUCKET, so that few sizes are compiled; the
additional rows are outside the table and are dropped.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mindref.bench.workload import Workload
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.models.mind import Batch
from mindref.models.parameters import Layer, Params
from mindref.shapes import Ints

INF = float("inf")
BUCKET = 1024
BLOCK = 64  # users per block of the search: limits the memory of their scores
UNIQUE = {"unique_indices": True, "indices_are_sorted": True}


class JaxBatch(NamedTuple):
    """A batch whose items are indices into its distinct items."""

    rows: Any  # (T,) rows of the table, ascending; padded with rows outside the table
    history: Any  # (B, L) indices
    mask: Any  # (B, L)
    logits: Any  # (B, L, K)
    target: Any  # (B,) indices
    negatives: Any  # (S,) indices
    logs: tuple[Any, Any]


class AdamState(NamedTuple):
    """Parameters, moments and the number of steps."""

    table: Any
    matrices: Any
    first: tuple[Any, Any]  # moments of the table and of the matrices
    second: tuple[Any, Any]
    step: Any


def jax_squash(x: Any) -> Any:
    """Return x n / (1 + n^2), where n is the length along the last axis; 0 has zero gradient."""
    square = (x * x).sum(-1, keepdims=True)
    n = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return x * (n / (1 + square))


def jax_interests(
    matrices: Any, vectors: Any, mask: Any, logits: Any, iterations: int
) -> tuple[Any, Any]:
    """Return interests (B, K, D) and active from behaviour vectors (B, L, D), zero for padding.

    Matrix products use flattened rows, because the gradient of the alternative sums over two axes,
    which is slow in XLA. Logits have the shape (B, K, L) for the same reason.
    """
    bilinear, layers = matrices
    users, counts, width = len(mask), logits.shape[2], vectors.shape[2]
    starts = 2 ** jnp.arange(2, counts + 1)  # lengths that start further interests
    active = jnp.arange(counts) <= jnp.searchsorted(starts, mask.sum(1), side="right")[:, None]
    votes = (vectors.reshape(-1, width) @ bilinear.T).reshape(vectors.shape)
    fixed = jax.lax.stop_gradient(votes)
    logits = jnp.where(active[..., None], logits.transpose(0, 2, 1), -INF)
    for _ in range(iterations - 1):
        weights = jax.nn.softmax(logits, axis=1)
        logits = logits + jax_squash(weights @ fixed) @ fixed.transpose(0, 2, 1)
    weights = jax.nn.softmax(logits, axis=1)  # not differentiated
    x = jax_squash(weights @ votes).reshape(users * counts, width)
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    out = (x @ weight + bias).reshape(users, counts, width)
    return jnp.where(active[..., None], out, 0), active


def read_interests(users: Any, target: Any, active: Any, power: float) -> Any:
    """Return user vectors (B, D): label-aware attention with the target (B, D) as query."""
    scores = jnp.einsum("bkd,bd->bk", users, target)
    if power == INF:
        best = jnp.where(active, scores, -INF).argmax(1)
        return jnp.take_along_axis(users, best[:, None, None], axis=1)[:, 0]
    raised = jnp.sign(scores) * jnp.abs(scores) ** power
    weights = jax.nn.softmax(jnp.where(active, raised, -INF), axis=1)
    return jnp.einsum("bk,bkd->bd", weights, users)


def batch_loss(
    table_rows: Any, matrices: Any, batch: JaxBatch, iterations: int, power: float
) -> Any:
    """Return the mean loss of a batch: softmax over the target and shared negatives."""
    vectors = jnp.where(batch.mask[..., None], table_rows[batch.history], 0)
    users, active = jax_interests(matrices, vectors, batch.mask, batch.logits, iterations)
    target_vectors, negative_vectors = table_rows[batch.target], table_rows[batch.negatives]
    user = read_interests(users, target_vectors, active, power)
    target_logit = (user * target_vectors).sum(1) - batch.logs[0]
    negative_logits = user @ negative_vectors.T - batch.logs[1]
    hits = batch.negatives == batch.target[:, None]
    negative_logits = jnp.where(hits, -INF, negative_logits)
    scores = jnp.concatenate([target_logit[:, None], negative_logits], axis=1)
    return (jax.nn.logsumexp(scores, axis=1) - target_logit).mean()


@partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def train_step(state: AdamState, batch: JaxBatch, config: Config) -> tuple[AdamState, Any]:
    """Return the state after one step of lazy Adam, and the loss."""
    rows = batch.rows

    def gather(table: Any, matrices: Any) -> Any:
        # the barrier orders reads of the table before its update, so that it is updated in place
        return jax.lax.optimization_barrier(
            (table.at[rows].get(mode="fill", fill_value=0, **UNIQUE), matrices)
        )

    def scatter(table: Any, values: Any) -> Any:
        return table.at[rows].set(values, mode="drop", **UNIQUE)

    params = gather(state.table, state.matrices)
    differentiate = jax.value_and_grad(batch_loss, argnums=(0, 1))
    loss, gradients = differentiate(*params, batch, config.iterations, config.power)
    step = state.step + 1
    root = jnp.sqrt(1 - config.beta2**step)
    rate = config.learning_rate * root / (1 - config.beta1**step)

    first, second = gather(*state.first), gather(*state.second)
    tree_map = jax.tree.map
    first = tree_map(lambda m, g: config.beta1 * m + (1 - config.beta1) * g, first, gradients)
    second = tree_map(lambda v, g: config.beta2 * v + (1 - config.beta2) * g * g, second, gradients)
    params = tree_map(
        lambda x, m, v: x - rate * m / (jnp.sqrt(v) + config.epsilon * root), params, first, second
    )
    return AdamState(
        scatter(state.table, params[0]),
        params[1],
        (scatter(state.first[0], first[0]), first[1]),
        (scatter(state.second[0], second[0]), second[1]),
        step,
    ), loss


@partial(jax.jit, static_argnames=("iterations",))
def serve_block(
    table: Any, matrices: Any, history: Any, mask: Any, logits: Any, iterations: int
) -> tuple[Any, Any]:
    """Return interests and active of a block of users."""
    vectors = jnp.where(mask[..., None], table[history], 0)
    return jax_interests(matrices, vectors, mask, logits, iterations)


@partial(jax.jit, static_argnames=("n",))
def jax_top_items(table: Any, users: Any, active: Any, seen: Any, n: int) -> Any:
    """Return the top-n items of a block of users, without seen items.

    seen (B, W): item ids, padded with ids outside the table.
    """
    scores = jnp.einsum("bkd,nd->bkn", users, table)
    scores = jnp.where(active[..., None], scores, -INF).max(1)
    rows = jnp.arange(len(users))[:, None]
    scores = scores.at[rows, seen].set(-INF, mode="drop")
    return jax.lax.top_k(scores, n)[1]


class JaxJitContender:
    """The jitted JAX step as a contender."""

    level, device = "framework", "cpu"

    def __init__(self, workload: Workload) -> None:
        jax.config.update("jax_enable_x64", workload.settings.dtype == "float64")
        self.workload, self.config = workload, workload.config
        items, _, bilinear, layers = workload.params()
        matrices = (jnp.array(bilinear), tuple((jnp.array(w), jnp.array(b)) for w, b in layers))
        table = jnp.array(items)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        moments = [(zeros(table), zeros(matrices)) for _ in range(2)]
        step = jnp.zeros((), table.dtype)
        self.state = AdamState(table, matrices, moments[0], moments[1], step)

    def step(self, number: int) -> Any:
        """Take a step with a batch of the workload; return the loss, possibly still computing."""
        workload = self.workload
        batch = index_batch(workload.batches[number], workload.settings.catalogue)
        self.state, loss = train_step(self.state, batch, self.config)
        return loss

    def wait(self) -> None:
        """Wait until all steps are done."""
        jax.block_until_ready(self.state)

    @property
    def params(self) -> Params:
        """The current parameters."""
        bilinear, layers = jax.tree.map(np.array, self.state.matrices)
        profile = np.zeros((0, self.config.profile_width), self.config.dtype)
        named_layers = tuple(Layer(weight, bias) for weight, bias in layers)
        return Params(np.array(self.state.table), profile, bilinear, named_layers)

    def interests(self, histories: Ragged) -> tuple[Any, Any]:
        """Return interests (C, K, D) and active (C, K), in blocks as in serving."""
        items, mask = pad_histories(histories, self.config.window)
        logits = serving.serving_logits(self.config, self.workload.settings.catalogue, items)
        blocks = []
        for start in range(0, len(items), serving.BLOCK):
            block = slice(start, start + serving.BLOCK)
            inputs = (items[block].astype(np.int32), mask[block], logits[block])
            state = self.state
            result = serve_block(state.table, state.matrices, *inputs, self.config.iterations)
            blocks.append(result)
        vectors, active = (jnp.concatenate(parts) for parts in zip(*blocks, strict=True))
        return jax.block_until_ready((vectors, active))

    def top(self, users: tuple[Any, Any], n: int, exclude: Ragged | None) -> Ints:
        """Return the top-n items of each user (C, n), by top_k over the scores of a block.

        The last bits depend on the block.
        """
        catalogue = self.workload.settings.catalogue
        excluded = np.full((len(users[0]), 1), catalogue, np.int64)
        if exclude is not None:
            items, mask = pad_histories(exclude, int(exclude.lengths.max(initial=1)))
            excluded = np.where(mask, items, catalogue)
        ids = []
        for start in range(0, len(users[0]), BLOCK):
            block = slice(start, start + BLOCK)
            inputs = (users[0][block], users[1][block], excluded[block].astype(np.int32))
            ids.append(jax_top_items(self.state.table, *inputs, n))
        return np.concatenate([np.asarray(x, np.int64) for x in ids])


def index_batch(batch: Batch, count: int) -> JaxBatch:
    """Return a batch whose items are indices into its distinct items; padding has index 0."""
    items, mask, logits, _ = batch.histories
    ids = np.concatenate([items[mask], batch.target, batch.negatives])
    distinct, inverse = np.unique(ids, return_inverse=True)
    size = math.ceil(len(distinct) / BUCKET) * BUCKET
    rows = np.arange(count - len(distinct), count - len(distinct) + size)  # ends outside the table
    rows[: len(distinct)] = distinct
    history = np.zeros(mask.shape, np.int32)
    behaviours, targets = int(mask.sum()), len(batch.target)
    history[mask] = inverse[:behaviours]
    target, negatives = np.split(inverse[behaviours:].astype(np.int32), [targets])
    logs = (batch.target_log_expected, batch.negative_log_expected)
    return JaxBatch(rows.astype(np.int32), history, mask, logits, target, negatives, logs)
