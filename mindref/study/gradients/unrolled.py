"""The forward pass of one user, unrolled, so that any intermediate number can be changed.

Spec: specs/model.md. Finite differences use this pass: it computes many copies of the user with the
operators of `mindref.ops`, each with an offset added to one named array. A test compares it with
`mindref.models.mind.loss`. Names are those of the trace. If an array has several uses, an offset
can be added to one use:

    Se@z[t], Se@b[t+1]       the votes in the sum of iteration t, and in the update of the logits
    query, t.loss            the vector of the target as query of the attention, and in the loss
    o.product, o_t.product   a logit before temperature and correction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.models import mind
from mindref.ops import label_attention, routing, sampled_softmax, softmax, squash
from mindref.ops.votes import project_votes, sum_votes, vote_agreement
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair


class UnrolledPass(NamedTuple):
    """The result of a pass of N copies."""

    losses: Array  # (N,)
    sides: Array  # (N, *) bool: side of each kink
    values: dict[str, Array]  # every array that can be changed


class NamedArrays:
    """Arrays by name, each with its offset added, if it has one."""

    def __init__(self, offsets: Mapping[str, Array], dtype: str) -> None:
        self.offsets = {name: np.asarray(x, dtype) for name, x in offsets.items()}
        self.dtype = dtype
        self.values: dict[str, Array] = {}

    def add(self, name: str, value: Array) -> Array:
        """Store and return the value plus the offset of this name.

        A value has a leading axis of copies; an offset is (N, *), or (1, *) for all copies.
        """
        value = np.asarray(value, self.dtype)
        if name in self.offsets:
            value = value + self.offsets[name]
        self.values[name] = value
        return value


def forward(
    pair: TrainingPair,
    offsets: Mapping[str, Array],
    dtype: str = "float64",
    weights: Array | None = None,
) -> UnrolledPass:
    """Return the losses of copies of one user; offsets by name (N, *), or (1, *) for one copy.

    weights (1, L, K), optional: constant coupling weights of the last iteration. The exact gradient
    of this loss is the gradient of routing_gradient="last".
    """
    arrays = NamedArrays(offsets, dtype)
    copies = max([len(x) for x in offsets.values()], default=1)
    sides: list[Bools] = []
    mask, config = pair.batch.histories.mask, pair.config
    active = mind.active_interests(mask, config)  # (1, K)

    capsules = unroll_routing(pair, arrays, active, weights)  # (N or 1, K, D)
    users = np.where(active[..., None], apply_layers(pair, arrays, capsules, sides), 0)
    users = arrays.add("v", users)
    target, _ = mind.item_vectors(pair.params, pair.batch.target, pair.catalogue)
    target = arrays.add("t", target)
    user = apply_attention(pair, arrays, users, arrays.add("query", target), active, sides)
    losses = unrolled_losses(pair, arrays, user, arrays.add("t.loss", target))
    flat = [np.broadcast_to(x, (copies, *x.shape[1:])).reshape(copies, -1) for x in sides]
    together = np.concatenate([np.zeros((copies, 0), bool), *flat], axis=1)
    return UnrolledPass(np.broadcast_to(losses, copies), together, arrays.values)


def unroll_routing(
    pair: TrainingPair, arrays: NamedArrays, active: Bools, weights: Array | None
) -> Array:
    """Return the capsules of the last iteration."""
    batch, config, add = pair.batch.histories, pair.config, arrays.add
    dynamic = config.routing == "dynamic"
    iterations = config.iterations if dynamic else 1
    looked_up, _ = mind.behaviour_vectors(pair.params, batch, pair.catalogue)
    e = add("e", looked_up)
    votes = project_votes(e, np.asarray(pair.params.bilinear, arrays.dtype))
    offset = arrays.offsets.get("S")
    votes = add("Se", votes if offset is None else votes + e @ offset.transpose(0, 2, 1))
    b = add("b[1]", batch.init_logits if dynamic else np.zeros_like(batch.init_logits))
    allowed = batch.mask[:, :, None] & active[:, None, :]
    for t in range(1, iterations + 1):
        w, _ = softmax.forward(b, allowed, axis=routing.AXES[config.routing_axis])
        w = add(f"w[{t}]", w if weights is None or t < iterations else weights)
        z = add(f"z[{t}]", sum_votes(w, add(f"Se@z[{t}]", votes)))
        u = add(f"u[{t}]", squash.forward(z, kind=config.squash)[0])
        if t < iterations:
            a = add(f"a[{t}]", vote_agreement(add(f"Se@b[{t + 1}]", votes), u))
            b = add(f"b[{t + 1}]", b + a)
    return u


def apply_layers(
    pair: TrainingPair, arrays: NamedArrays, capsules: Array, sides: list[Bools]
) -> Array:
    """Return the output of the layers for [capsule ; profile]; append the sides of the ReLUs."""
    config, add = pair.config, arrays.add
    profile, _ = mind.profile_vectors(pair.params, pair.batch.histories.profile)
    features, width = pair.batch.histories.profile.shape[1], pair.params.profile.shape[1]
    p = add("p", profile.reshape(1, features, width))
    p = p.reshape(len(p), features * width)
    copies, interests, _ = np.broadcast_shapes(capsules.shape, (len(p), 1, 1))
    spread = np.broadcast_to(p[:, None], (copies, interests, p.shape[1]))
    capsules = np.broadcast_to(capsules, (copies, interests, capsules.shape[2]))
    x = add("x[0]", np.concatenate([capsules, spread], axis=2))
    for number, (weight, bias) in enumerate(pair.params.layers, start=1):
        weight, bias = (np.asarray(array, arrays.dtype) for array in (weight, bias))
        rows = x.reshape(-1, x.shape[2])  # users and interests in one axis, as in the layer
        y: Array = (rows @ weight).reshape(*x.shape[:2], -1)
        if f"W[{number}]" in arrays.offsets:
            y = y + x @ arrays.offsets[f"W[{number}]"]
        y += bias
        if f"bias[{number}]" in arrays.offsets:
            y = y + arrays.offsets[f"bias[{number}]"][:, None]
        y = add(f"y[{number}]", y)
        rectified = config.last_relu or number < len(pair.params.layers)
        if rectified:
            sides.append(y > 0)
        x = add(f"x[{number}]", np.maximum(y, 0) if rectified else y)
    return x


def apply_attention(
    pair: TrainingPair,
    arrays: NamedArrays,
    users: Array,
    query: Array,
    active: Bools,
    sides: list[Bools],
) -> Array:
    """Return the user vector for the target, and append the sides of argmax and power."""
    config, add = pair.config, arrays.add
    power = config.effective_power
    copies = max(len(users), len(query))
    users = np.broadcast_to(users, (copies, *users.shape[1:]))
    query = np.broadcast_to(query, (copies, query.shape[1]))
    s = add("s", np.einsum("bkd,bd->bk", users, query))
    if np.isinf(power):
        h = label_attention.one_hot_of_largest(s, active)
        sides.append(h > 0)
    else:
        gaps = add("c", label_attention.gaps_below_largest(s, active, power))
        h, _ = softmax.forward(gaps, np.broadcast_to(active, gaps.shape), axis=1)
        if 0 < power < 1:  # the power of a score has a kink at zero
            sides.append(s > 0)
    h = add("h", h)
    copies = max(copies, len(h))
    users = np.broadcast_to(users, (copies, *users.shape[1:]))
    return add("q", np.einsum("bk,bkd->bd", np.broadcast_to(h, (copies, h.shape[1])), users))


def unrolled_losses(pair: TrainingPair, arrays: NamedArrays, user: Array, target: Array) -> Array:
    """Return the loss of each copy; the largest logit is subtracted, as in the operator."""
    batch, config, add = pair.batch, pair.config, arrays.add
    negative_vectors, _ = mind.item_vectors(pair.params, batch.negatives, pair.catalogue)
    negatives = add("neg", negative_vectors[None])  # (N, S, D)
    if config.normalise:
        user, target, negatives = (
            add(name, sampled_softmax.to_unit_length(x, normalise=True)[0])
            for name, x in (("q1", user), ("t1", target), ("neg1", negatives))
        )
    c_t = add("logq_t", batch.target_log_expected)
    c = add("logq", batch.negative_log_expected[None])
    product_t = add("o_t.product", (user * target).sum(axis=1))
    o_t = add("o_t", product_t / config.temperature - c_t)
    products = add("o.product", np.matmul(negatives, user[:, :, None])[..., 0])
    o = add("o", products / config.temperature - c)
    hits = batch.negatives == batch.target[:, None]
    o = add("l", np.where(hits, -np.inf, o))
    top = np.max(o, axis=1, initial=-np.inf)
    top = np.where(np.isfinite(top), top, o_t)
    with np.errstate(divide="ignore"):
        log_sum = np.log(np.exp(o - top[:, None]).sum(axis=1))
    return np.logaddexp(0, top - o_t + log_sum)


def last_coupling_weights(pair: TrainingPair) -> Array:
    """Return the coupling weights (1, L, K) of the last iteration."""
    iterations = pair.config.iterations if pair.config.routing == "dynamic" else 1
    return forward(pair, {}).values[f"w[{iterations}]"]
