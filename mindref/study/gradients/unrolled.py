"""The forward pass of one user written out flat, so that any number on the way can be moved.

Spec: specs/model.md. It is what finite differences are taken of: many copies of the user go through
the operators of `mindref.ops` side by side, each with an offset of its own at one named place. A
test holds it to `mindref.models.mind.loss`. Names are those of the trace; an array that
is used several times may also be moved at one place of use alone:

    m@z[r], m@b[r+1]   the mapped behaviours where round r sums them, and where it updates
    query, t.loss      the target's vector as the query of the attention, and in the loss
    o.product, o_t.product   a logit before the temperature and the correction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.models import mind
from mindref.ops import label_attention, routing, sampled_softmax, softmax, squash
from mindref.ops.votes import agree, gather, project
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    from mindref.study.run import Given


class Pass(NamedTuple):
    """What a pass of N copies gives."""

    losses: Array  # (N,)
    sides: Array  # (N, *) bool: on which side of each corner a copy is
    values: dict[str, Array]  # every array that can be moved, without its offsets' axis if unmoved


class Places:
    """Arrays by name, each moved by its offset where it has one."""

    def __init__(self, offsets: Mapping[str, Array], dtype: str) -> None:
        self.offsets = {name: np.asarray(x, dtype) for name, x in offsets.items()}
        self.dtype = dtype
        self.values: dict[str, Array] = {}

    def at(self, name: str, value: Array) -> Array:
        """Return the value plus the offset of this name, and remember it.

        A value has a leading axis of copies; an offset is (N, *) or one for all copies (1, *).
        """
        value = np.asarray(value, self.dtype)
        if name in self.offsets:
            value = value + self.offsets[name]
        self.values[name] = value
        return value


def forward(
    given: Given,
    offsets: Mapping[str, Array],
    dtype: str = "float64",
    weights: Array | None = None,
) -> Pass:
    """Return the losses of copies of one user; offsets by name (N, *), or (1, *) for one copy.

    weights (1, L, K) are held fixed in the last round, if given: the loss whose exact gradient is
    that of routing_gradient="last".
    """
    places = Places(offsets, dtype)
    copies = max([len(x) for x in offsets.values()], default=1)
    sides: list[Bools] = []
    mask, config = given.batch.histories.mask, given.config
    active = mind.active_interests(mask, config)  # (1, K)

    capsules = routed(given, places, active, weights)  # (N or 1, K, D)
    users = np.where(active[..., None], layered(given, places, capsules, sides), 0)
    users = places.at("u", users)
    target, _ = mind.item_vectors(given.params, given.batch.target, given.catalogue)
    target = places.at("t", target)
    user = attended(given, places, users, places.at("query", target), active, sides)
    losses = lost(given, places, user, places.at("t.loss", target))
    flat = [np.broadcast_to(x, (copies, *x.shape[1:])).reshape(copies, -1) for x in sides]
    together = np.concatenate([np.zeros((copies, 0), bool), *flat], axis=1)
    return Pass(np.broadcast_to(losses, copies), together, places.values)


def routed(given: Given, places: Places, active: Bools, weights: Array | None) -> Array:
    """Return the capsules of the last round, every round in a line of its own."""
    batch, config, at = given.batch.histories, given.config, places.at
    dynamic = config.routing == "dynamic"
    rounds = config.iterations if dynamic else 1
    looked_up, _ = mind.behaviours(given.params, batch, given.catalogue)
    e = at("e", looked_up)
    votes = project(e, np.asarray(given.params.bilinear, places.dtype))
    moved = places.offsets.get("S")
    m = at("m", votes if moved is None else votes + e @ moved.transpose(0, 2, 1))
    b = at("b[1]", batch.init_logits if dynamic else np.zeros_like(batch.init_logits))
    allowed = batch.mask[:, :, None] & active[:, None, :]
    for r in range(1, rounds + 1):
        w, _ = softmax.forward(b, allowed, axis=routing.AXES[config.routing_axis])
        w = at(f"w[{r}]", w if weights is None or r < rounds else weights)
        z = at(f"z[{r}]", gather(w, at(f"m@z[{r}]", m)))
        v = at(f"v[{r}]", squash.forward(z, kind=config.squash)[0])
        if r < rounds:
            a = at(f"a[{r}]", agree(at(f"m@b[{r + 1}]", m), v))
            b = at(f"b[{r + 1}]", b + a)
    return v


def layered(given: Given, places: Places, capsules: Array, sides: list[Bools]) -> Array:
    """Return what the layers make of [capsule ; profile], and note which units let through."""
    config, at = given.config, places.at
    profile, _ = mind.profile_vectors(given.params, given.batch.histories.profile)
    features, width = given.batch.histories.profile.shape[1], given.params.profile.shape[1]
    p = at("p", profile.reshape(1, features, width))
    p = p.reshape(len(p), features * width)
    copies, interests, _ = np.broadcast_shapes(capsules.shape, (len(p), 1, 1))
    spread = np.broadcast_to(p[:, None], (copies, interests, p.shape[1]))
    capsules = np.broadcast_to(capsules, (copies, interests, capsules.shape[2]))
    x = at("x[0]", np.concatenate([capsules, spread], axis=2))
    for number, (weight, bias) in enumerate(given.params.layers, start=1):
        weight, bias = (np.asarray(array, places.dtype) for array in (weight, bias))
        rows = x.reshape(-1, x.shape[2])  # as the layer has it: users and interests in one axis
        y: Array = (rows @ weight).reshape(*x.shape[:2], -1)
        if f"W[{number}]" in places.offsets:
            y = y + x @ places.offsets[f"W[{number}]"]
        y += bias
        if f"bias[{number}]" in places.offsets:
            y = y + places.offsets[f"bias[{number}]"][:, None]
        y = at(f"y[{number}]", y)
        rectified = config.last_relu or number < len(given.params.layers)
        if rectified:
            sides.append(y > 0)
        x = at(f"x[{number}]", np.maximum(y, 0) if rectified else y)
    return x


def attended(
    given: Given, places: Places, users: Array, query: Array, active: Bools, sides: list[Bools]
) -> Array:
    """Return the user's vector for this target, and note which interest an argmax takes."""
    config, at = given.config, places.at
    power = config.power if config.attention == "label" else 0.0
    copies = max(len(users), len(query))
    users = np.broadcast_to(users, (copies, *users.shape[1:]))
    query = np.broadcast_to(query, (copies, query.shape[1]))
    s = at("s", np.einsum("bkd,bd->bk", users, query))
    if np.isinf(power):
        h = label_attention.one_hot_of_largest(s, active)
        sides.append(h > 0)
    else:
        g = at("g", label_attention.gaps_below_largest(s, active, power))
        h, _ = softmax.forward(g, np.broadcast_to(active, g.shape), axis=1)
        if 0 < power < 1:  # the root of a score has a corner at zero
            sides.append(s > 0)
    h = at("h", h)
    copies = max(copies, len(h))
    users = np.broadcast_to(users, (copies, *users.shape[1:]))
    return at("q", np.einsum("bk,bkd->bd", np.broadcast_to(h, (copies, h.shape[1])), users))


def lost(given: Given, places: Places, user: Array, target: Array) -> Array:
    """Return the loss of each copy; the largest is held apart as in the operator."""
    batch, config, at = given.batch, given.config, places.at
    found, _ = mind.item_vectors(given.params, batch.negatives, given.catalogue)
    negatives = at("neg", found[None])  # (N, S, D)
    if config.normalise:
        user, target, negatives = (
            at(name, sampled_softmax.unit(x, True)[0])
            for name, x in (("q1", user), ("t1", target), ("neg1", negatives))
        )
    c_t = at("logq_t", batch.target_log_expected)
    c = at("logq", batch.negative_log_expected[None])
    product_t = at("o_t.product", (user * target).sum(axis=1))
    o_t = at("o_t", product_t / config.temperature - c_t)
    products = at("o.product", np.matmul(negatives, user[:, :, None])[..., 0])
    o = at("o", products / config.temperature - c)
    hits = batch.negatives == batch.target[:, None]
    o = at("l", np.where(hits, -np.inf, o))
    top = np.max(o, axis=1, initial=-np.inf)
    top = np.where(np.isfinite(top), top, o_t)
    with np.errstate(divide="ignore"):
        rest = np.log(np.exp(o - top[:, None]).sum(axis=1))
    return np.logaddexp(0, top - o_t + rest)


def last_weights(given: Given) -> Array:
    """Return the coupling weights of the last round (1, L, K), to be held fixed."""
    rounds = given.config.iterations if given.config.routing == "dynamic" else 1
    return forward(given, {}).values[f"w[{rounds}]"]
