"""MIND plus once more, a user and a number at a time, written from the page.

What it shares with MIND stands in tests/naive.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests import naive
from tests.naive import Vector


def log_weights(positions: Any, n: int, interests: int, config: Any) -> tuple[Any, Any]:
    """Log weights of n behaviours, oldest first: for interests (n, K') and contexts (n, M)."""
    own, more = [], []
    for i in range(n):
        row = list(positions[n - 1 - i])  # as many behaviours come after it
        at = len(row) - config.contexts
        more.append(row[at:])
        if config.recency == "interests":
            own.append(row[:interests])
        else:
            own.append([row[0] if config.recency == "shared" else 0.0] * interests)
    return own, more


def capsules(
    votes: Sequence[Vector],
    logits: Sequence[Vector],
    weights: Sequence[Vector],
    rounds: int,
    axis: str,
    kind: str,
) -> list[list[float]]:
    """Capsules (K', D) of n votes; logits and log weights (n, K')."""
    b = [list(row) for row in logits]
    out: list[list[float]] = []
    for _ in range(rounds):
        w = naive.coupled(b, axis)
        counted = [
            [c * math.exp(x) for c, x in zip(*rows, strict=True)]
            for rows in zip(w, weights, strict=True)
        ]
        sums = [
            naive.weighted([row[k] for row in counted], votes, len(votes[0]))
            for k in range(len(b[0]))
        ]
        out = [naive.squash(z, kind) for z in sums]
        b = [
            [x + naive.dot(u, v) for x, u in zip(row, out, strict=True)]
            for row, v in zip(b, votes, strict=True)
        ]
    return out


def context(votes: Sequence[Vector], weights: Vector, kind: str) -> list[float]:
    """One context (D,): all votes, added up by their weights, and squashed."""
    return naive.squash(naive.weighted([math.exp(x) for x in weights], votes, len(votes[0])), kind)


def heard(
    params: Any, histories: Any, b: int, catalogue: Any, config: Any, keep: Any
) -> tuple[list[list[float]], list[Any]]:
    """What the behaviours of user b say (n, D), oldest first, and their initial logits."""
    places = [i for i, real in enumerate(histories.mask[b]) if real]
    vectors = [naive.item(params, catalogue, histories.items[b][i]) for i in places]
    if keep is not None:
        vectors = [
            [x * factor for x, factor in zip(v, keep[b][i], strict=True)]
            for v, i in zip(vectors, places, strict=True)
        ]
    if config.votes == "matrix":
        vectors = [[naive.dot(row, e) for row in params.bilinear] for e in vectors]
    return vectors, [histories.init_logits[b][i] for i in places]


def user_interests(
    params: Any, histories: Any, b: int, catalogue: Any, config: Any, keep: Any = None
) -> list[list[float]]:
    """The active interests (K', D) of user b."""
    votes, logits = heard(params, histories, b, catalogue, config, keep)
    n, width = len(votes), config.width
    count = naive.interest_count(n, config.interests)
    if config.interest_count == "fixed":
        count = config.interests if n else 1
    own, more = log_weights(params.positions, n, count, config)
    rounds = config.iterations
    logits = [list(row[:count]) for row in logits]
    if config.routing == "uniform":
        logits, rounds = [[0.0] * count for _ in votes], 1
    found, beside = [[0.0] * width], [[0.0] * width] * config.contexts
    if n:
        found = capsules(votes, logits, own, rounds, config.routing_axis, config.squash)
        beside = [
            context(votes, [row[m] for row in more], config.squash) for m in range(config.contexts)
        ]
    tail = [x for row in histories.profile[b] for x in params.profile[row]]
    tail += [x for one in beside for x in one]
    return [head(u, tail, params.layers, config) for u in found]


def head(capsule: list[float], tail: list[float], layers: Any, config: Any) -> list[float]:
    """An interest from a capsule and what stands beside it."""
    if config.head == "none":
        return capsule
    x = [*capsule, *tail]
    for number, (weight, bias) in enumerate(layers):
        x = naive.layer(x, weight, bias, config.last_relu or number < len(layers) - 1)
    if config.head == "residual":
        x = [u + v for u, v in zip(capsule, x, strict=True)]
    return x


def loss(params: Any, batch: Any, catalogue: Any, config: Any) -> float:
    """The mean loss of a batch."""
    shared = batch.shared
    negatives = [naive.item(params, catalogue, i) for i in shared.negatives]
    losses = []
    for b, i in enumerate(shared.target):
        given = (params, shared.histories, b, catalogue, config, batch.keep)
        interests = user_interests(*given)
        target = naive.item(params, catalogue, i)
        others = (
            target,
            negatives,
            i,
            shared.negatives,
            shared.target_log_expected[b],
            shared.negative_log_expected,
        )
        numbers = (config.temperature, config.normalise)
        if config.attention == "pooled":
            losses.append(naive.pooled_loss(interests, *others, config.sharpness, *numbers))
            continue
        power = config.power if config.attention == "label" else 0.0
        user = naive.attention(interests, target, power)
        losses.append(naive.sampled_loss(user, *others, *numbers))
    return sum(losses) / len(losses)
