"""MIND once more, a user and a number at a time, written from the pages and not from the code.

Plain Python floats and loops over lists; slow, short and independent of `mindref`, whose results
the tests compare with these. The worked examples of the pages were computed with this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Vector = Sequence[float]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def weighted(weights: Vector, vectors: Sequence[Vector], width: int) -> list[float]:
    pairs = list(zip(weights, vectors, strict=True))
    return [sum(w * v[d] for w, v in pairs) for d in range(width)]


def softmax(logits: Vector) -> list[float]:
    raised = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(raised) for x in raised]


def layer(x: Vector, weight: Sequence[Vector], bias: Vector, relu: bool) -> list[float]:
    sums = [b + sum(x[i] * weight[i][o] for i in range(len(x))) for o, b in enumerate(bias)]
    return [max(0.0, s) if relu else s for s in sums]


def squash(x: Vector, kind: str = "squash") -> list[float]:
    length = math.sqrt(dot(x, x))
    if length == 0 or kind == "none":
        return list(x)
    gain = length**2 / (1 + length**2) if kind == "squash" else 1.0
    return [gain * value / length for value in x]


def interest_count(behaviours: int, interests: int) -> int:
    halvings = 0
    while behaviours >= 2:
        behaviours, halvings = behaviours // 2, halvings + 1
    return max(1, min(interests, halvings))


def coupled(logits: list[list[float]], axis: str) -> list[list[float]]:
    """Couplings (n, K') from logits (n, K')."""
    if axis == "interests":
        return [softmax(row) for row in logits]
    columns = [softmax(column) for column in zip(*logits, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def capsules(
    history: Sequence[Vector],
    bilinear: Sequence[Vector],
    logits: Sequence[Vector],
    iterations: int,
    axis: str = "interests",
    kind: str = "squash",
    last: Sequence[Vector] | None = None,
    log_weights: Sequence[Vector] | None = None,
) -> tuple[list[list[float]], list[list[float]]]:
    """Capsules (K', D) of one user with n behaviours and K' interests, and the last couplings.

    logits (n, K'); `last` (n, K') replaces the couplings of the last round by constants;
    log_weights (n, K'), if any, say how much each behaviour counts for each interest.
    """
    votes = [[dot(row, e) for row in bilinear] for e in history]
    b = [list(row) for row in logits]
    for turn in range(iterations):
        w = coupled(b, axis)
        if last is not None and turn == iterations - 1:
            w = [list(row) for row in last]
        counted = w
        if log_weights is not None:
            pairs = zip(w, log_weights, strict=True)
            counted = [[x * math.exp(p) for x, p in zip(*both, strict=True)] for both in pairs]
        sums = [
            weighted([row[k] for row in counted], votes, len(bilinear))
            for k in range(len(logits[0]))
        ]
        out = [squash(z, kind) for z in sums]
        for row, vote in zip(b, votes, strict=True):
            row[:] = [x + dot(u, vote) for x, u in zip(row, out, strict=True)]
    return out, w


def attention_weights(scores: Vector, p: float) -> list[float]:
    """Weights of the active interests of one user from their scores."""
    if p == math.inf:
        best = scores.index(max(scores))
        return [float(k == best) for k in range(len(scores))]
    if p == 0:
        return [1 / len(scores)] * len(scores)
    return softmax([math.copysign(abs(s) ** p, s) for s in scores])


def attention(interests: Sequence[Vector], target: Vector, p: float) -> list[float]:
    """The user's vector from active interests (K', D)."""
    weights = attention_weights([dot(v, target) for v in interests], p)
    return weighted(weights, interests, len(target))


def unit(x: Vector) -> list[float]:
    return squash(x, "unit")


def sampled_loss(
    user: Vector,
    target: Vector,
    negatives: Sequence[Vector],
    target_id: int,
    negative_ids: Sequence[int],
    target_log: float,
    negative_logs: Vector,
    temperature: float = 1.0,
    normalise: bool = False,
) -> float:
    """The loss of one user."""
    if normalise:
        user, target, negatives = unit(user), unit(target), [unit(n) for n in negatives]
    logits = [dot(user, target) / temperature - target_log]
    for vector, item, log in zip(negatives, negative_ids, negative_logs, strict=True):
        if item != target_id:
            logits.append(dot(user, vector) / temperature - log)
    return math.log(sum(math.exp(x - logits[0]) for x in logits))


def pooled_score(products: Vector, sharpness: float) -> float:
    """The score of an item from its products with the active interests of a user."""
    if sharpness == math.inf:
        return max(products)
    if sharpness == 0:
        return math.fsum(products) / len(products)
    top = max(products)
    return (
        top
        + math.log1p(math.fsum(math.expm1(sharpness * (s - top)) for s in products) / len(products))
        / sharpness
    )


def pooled_loss(
    interests: Sequence[Vector],
    target: Vector,
    negatives: Sequence[Vector],
    target_id: int,
    negative_ids: Sequence[int],
    target_log: float,
    negative_logs: Vector,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> float:
    """The loss of one user with these active interests (K', D)."""
    if normalise:
        interests, negatives = [unit(v) for v in interests], [unit(n) for n in negatives]
        target = unit(target)

    def logit(vector: Vector, log: float) -> float:
        products = [dot(v, vector) / temperature for v in interests]
        return pooled_score(products, sharpness) - log

    logits = [logit(target, target_log)]
    for vector, item, log in zip(negatives, negative_ids, negative_logs, strict=True):
        if item != target_id:
            logits.append(logit(vector, log))
    return math.log(sum(math.exp(x - logits[0]) for x in logits))


def item(params: Any, catalogue: Any, i: int) -> list[float]:
    return weighted(
        catalogue.weights[i], [params.items[r] for r in catalogue.rows[i]], params.items.shape[1]
    )


def user_interests(
    params: Any, histories: Any, b: int, catalogue: Any, config: Any, last: Any = None
) -> list[list[float]]:
    """The active interests (K', D) of user b; `last` (n, K') as in `capsules`."""
    places = [i for i, real in enumerate(histories.mask[b]) if real]
    history = [item(params, catalogue, histories.items[b][i]) for i in places]
    count = interest_count(len(places), config.interests)
    if config.interest_count == "fixed":
        count = config.interests if places else 1
    logits = [list(histories.init_logits[b][i][:count]) for i in places]
    rounds = config.iterations
    if config.routing == "uniform":
        logits, rounds = [[0.0] * count for _ in places], 1
    found = [[0.0] * config.width]
    if places:
        found, _ = capsules(
            history, params.bilinear, logits, rounds, config.routing_axis, config.squash, last
        )
    profile = [value for row in histories.profile[b] for value in params.profile[row]]
    out = []
    for x in found:
        x = [*x, *profile]
        for number, (weight, bias) in enumerate(params.layers):
            x = layer(x, weight, bias, config.last_relu or number < len(params.layers) - 1)
        out.append(x)
    return out


def loss(params: Any, batch: Any, catalogue: Any, config: Any, last: Any = None) -> float:
    """The mean loss of a batch; `last`, a list by user, holds the last couplings constant."""
    negatives = [item(params, catalogue, i) for i in batch.negatives]
    losses = []
    for b, i in enumerate(batch.target):
        mine = None if last is None else last[b]
        interests = user_interests(params, batch.histories, b, catalogue, config, mine)
        target = item(params, catalogue, i)
        user = attention(interests, target, config.power if config.attention == "label" else 0.0)
        losses.append(
            sampled_loss(
                user,
                target,
                negatives,
                i,
                batch.negatives,
                batch.target_log_expected[b],
                batch.negative_log_expected,
                config.temperature,
                config.normalise,
            )
        )
    return sum(losses) / len(losses)
