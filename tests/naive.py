"""The models one user and one number at a time, written from the pages and not from the code.

Python loops over lists: slow, short and independent of `mindref`. The worked examples of the pages
were computed with this file. Softmax, squash and routing also accept complex numbers: an imaginary
part of 1e-30 in an input comes out as the derivative along it, exact to rounding (`derivative`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TINY = 1e-30
Vector = Sequence[Any]
Matrix = Sequence[Vector]
Layers = Sequence[tuple[Matrix, Vector]]


def dot(a: Vector, b: Vector) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def weighted(weights: Vector, vectors: Matrix, width: int) -> list[Any]:
    pairs = list(zip(weights, vectors, strict=True))
    return [sum(w * v[d] for w, v in pairs) for d in range(width)]


def softmax(logits: Vector) -> list[Any]:
    top = max(x.real for x in logits)
    top = 0 if top == -math.inf else top
    powers = [np.exp(x - top) for x in logits]
    return [x / (sum(powers) or 1) for x in powers]


def squash(x: Vector, kind: str = "squash") -> list[Any]:
    square = dot(x, x)
    if square == 0 or kind == "none":
        return list(x)
    gain = square / (1 + square) if kind == "squash" else 1.0
    return [gain * value / np.sqrt(square) for value in x]


def layer(x: Vector, weight: Matrix, bias: Vector, relu: bool) -> list[float]:
    sums = [b + sum(x[i] * weight[i][o] for i in range(len(x))) for o, b in enumerate(bias)]
    return [max(0.0, s) if relu else s for s in sums]


def through_layers(x: Vector, layers: Layers, last_relu: bool = False) -> list[float]:
    """Return the output of layers, of which every one but the last is rectified."""
    for number, (weight, bias) in enumerate(layers, start=1):
        x = layer(x, weight, bias, last_relu or number < len(layers))
    return list(x)


def interest_count(behaviours: int, interests: int) -> int:
    halvings = 0
    while behaviours >= 2:
        behaviours, halvings = behaviours // 2, halvings + 1
    return max(1, min(interests, halvings))


def votes_of(history: Matrix, bilinear: Any) -> list[Any]:
    """Return the votes (n, D), or (n, K', D) for a matrix of each behaviour and interest."""
    if np.ndim(bilinear) == 2:
        return [[dot(row, e) for row in bilinear] for e in history]
    pairs = zip(history, bilinear, strict=True)
    return [[[dot(row, e) for row in matrix] for matrix in matrices] for e, matrices in pairs]


def coupled(logits: list[list[Any]], axis: str) -> list[list[Any]]:
    """Return coupling weights (n, K') of logits (n, K')."""
    if axis == "interests":
        return [softmax(row) for row in logits]
    columns = [softmax(column) for column in zip(*logits, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def capsules(
    votes: Sequence[Any],
    logits: Matrix,
    iterations: int,
    axis: str = "interests",
    kind: str = "squash",
    log_weights: Matrix | None = None,
    constant: bool = False,
) -> tuple[list[list[Any]], list[list[list[Any]]]]:
    """Return capsules (K', D) of one user, and the coupling weights (n, K') of every iteration.

    Votes as of `votes_of`; logits (n, K'); log_weights (n, K') multiply the coupling weights by
    their exponentials. `constant` couplings lose their imaginary part: no derivative passes them.
    """
    count = len(logits[0])
    votes = [[v] * count for v in votes] if np.ndim(votes) == 2 else votes
    width = len(votes[0][0])
    b, couplings = [list(row) for row in logits], []
    for _ in range(iterations):
        w = coupled(b, axis)
        if constant:
            w = [[x.real for x in row] for row in w]
        couplings.append(w)
        if log_weights is not None:
            rows = zip(w, log_weights, strict=True)
            w = [[x * np.exp(p) for x, p in zip(*row, strict=True)] for row in rows]
        u = [
            squash(weighted([row[k] for row in w], [v[k] for v in votes], width), kind)
            for k in range(count)
        ]
        b = [
            [x + dot(c, v) for x, c, v in zip(row, u, of_behaviour, strict=True)]
            for row, of_behaviour in zip(b, votes, strict=True)
        ]
    return u, couplings


def derivative(function: Callable[..., Any], arrays: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return the gradient of sum(cotangent * function(*arrays)) with respect to every array."""
    arrays = [np.array(x, complex) for x in arrays]
    gradients = [np.zeros(x.shape) for x in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for index in np.ndindex(array.shape):
            array[index] += TINY * 1j
            gradient[index] = np.sum(np.array(cotangent) * np.imag(function(*arrays))) / TINY
            array[index] -= TINY * 1j
    return gradients


def attention_weights(scores: Vector, p: float) -> list[float]:
    """Return the weights of label-aware attention from the scores of active interests (K',)."""
    if p == math.inf:
        return [float(k == scores.index(max(scores))) for k in range(len(scores))]
    if p == 0:
        return [1 / len(scores)] * len(scores)
    return softmax([math.copysign(abs(s) ** p, s) for s in scores])


def attention(interests: Matrix, target: Vector, p: float) -> list[float]:
    """Return the user's vector from active interests (K', D)."""
    weights = attention_weights([dot(v, target) for v in interests], p)
    return weighted(weights, interests, len(target))


def pooled_score(products: Vector, sharpness: float) -> float:
    """Return the score of an item from its products with the active interests of a user."""
    if sharpness == math.inf:
        return max(products)
    if sharpness == 0:
        return math.fsum(products) / len(products)
    top = max(products)
    rest = math.fsum(math.expm1(sharpness * (s - top)) for s in products) / len(products)
    return top + math.log1p(rest) / sharpness


def pooled_loss(
    interests: Matrix,
    target: Vector,
    negatives: Matrix,
    target_id: int,
    negative_ids: Sequence[int],
    target_log: float,
    negative_logs: Vector,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> float:
    """Return the loss of one user with these active interests (K', D).

    Of one interest, with any sharpness, it is the sampled softmax.
    """
    if normalise:
        target = squash(target, "unit")
        interests, negatives = ([squash(v, "unit") for v in x] for x in (interests, negatives))

    def logit(vector: Vector, log: float) -> float:
        products = [dot(v, vector) / temperature for v in interests]
        return pooled_score(products, sharpness) - log

    logits = [logit(target, target_log)]
    for vector, i, log in zip(negatives, negative_ids, negative_logs, strict=True):
        if i != target_id:
            logits.append(logit(vector, log))
    return math.log(sum(math.exp(x - logits[0]) for x in logits))


def item(w: Any, i: int) -> list[float]:
    rows = [w.params.items[r] for r in w.catalogue.rows[i]]
    return weighted(w.catalogue.weights[i], rows, w.params.items.shape[1])


def profile(w: Any, b: int) -> list[float]:
    """Return the profile of user b, its features side by side."""
    return [value for row in w.histories.profile[b] for value in w.params.profile[row]]


def behaviours(w: Any, b: int) -> list[int]:
    return [i for i, real in enumerate(w.histories.mask[b]) if real]


def age_weights(w: Any, n: int, interests: int) -> tuple[Any, Any]:
    """Return log weights of n behaviours, oldest first: interests (n, K'), contexts (n, M)."""
    of_interests, of_contexts = [], []
    for i in range(n):
        positions = getattr(w.params, "positions", np.zeros((n, 0)))
        row = list(positions[n - 1 - i])  # as many behaviours come after it
        split = len(row) - w.config.contexts
        of_contexts.append(row[split:])
        if w.config.recency == "interests":
            of_interests.append(row[:interests])
        else:
            of_interests.append([row[0] if w.config.recency == "shared" else 0.0] * interests)
    return of_interests, of_contexts


def user_votes(w: Any, b: int) -> list[list[float]]:
    """Return the votes (n, D) of user b, oldest first, after dropout."""
    keep = getattr(w.batch, "keep", None)
    vectors = []
    for i in behaviours(w, b):
        factors = [1.0] * w.config.width if keep is None else keep[b][i]
        vector = item(w, w.histories.items[b][i])
        vectors.append([x * factor for x, factor in zip(vector, factors, strict=True)])
    return votes_of(vectors, w.params.bilinear) if w.config.votes == "matrix" else vectors


def user_interests(w: Any, b: int) -> list[list[float]]:
    """Return the active interests (K', D) of user b, of MIND or MIND plus."""
    config, votes = w.config, user_votes(w, b)
    n, count = len(votes), interest_count(len(votes), config.interests)
    if config.interest_count == "fixed":
        count = config.interests if n else 1
    iterations = config.iterations
    logits = [list(w.histories.init_logits[b][i][:count]) for i in behaviours(w, b)]
    if config.routing == "uniform":
        logits, iterations = [[0.0] * count for _ in votes], 1
    log_weights, of_contexts = age_weights(w, n, count)
    u, beside = [[0.0] * config.width], [[0.0] * config.width] * config.contexts
    if n:
        options = (config.routing_axis, config.squash, log_weights)
        u, _ = capsules(votes, logits, iterations, *options)
        exponentials = [[math.exp(row[m]) for row in of_contexts] for m in range(config.contexts)]
        beside = [squash(weighted(x, votes, config.width), config.squash) for x in exponentials]
    tail = [*profile(w, b), *(x for context in beside for x in context)]
    return [head(x, tail, w.params.layers, config) for x in u]


def head(capsule: list[float], tail: list[float], layers: Any, config: Any) -> list[float]:
    """Return an interest from a capsule and the vector beside it."""
    if config.head == "none":
        return capsule
    x = through_layers([*capsule, *tail], layers, config.last_relu)
    return [u + v for u, v in zip(capsule, x, strict=True)] if config.head == "residual" else x


def user_vector(w: Any, b: int) -> list[float]:
    n, x = len(behaviours(w, b)), [0.0] * w.config.width
    if n:
        weights = [1 / n] * n
        if len(w.params.positions):
            weights = softmax([w.params.positions[0][n - 1 - i] for i in range(n)])
        vectors = [item(w, w.histories.items[b][i]) for i in behaviours(w, b)]
        x = weighted(weights, vectors, w.config.width)
    return through_layers([*x, *profile(w, b)], w.params.layers, w.config.last_relu)


def loss(w: Any, users: Sequence[Matrix]) -> float:
    """Return the mean loss of a batch whose users have these active interests."""
    shared, config = getattr(w.batch, "shared", w.batch), w.config
    negatives = [item(w, i) for i in shared.negatives]
    losses = []
    for b, i in enumerate(shared.target):
        interests, target, sharpness = users[b], item(w, i), config.sharpness
        if config.attention != "pooled":
            power = config.power if config.attention == "label" else 0.0
            interests, sharpness = [attention(interests, target, power)], 0.0
        ids = (i, shared.negatives, shared.target_log_expected[b], shared.negative_log_expected)
        numbers = (sharpness, config.temperature, config.normalise)
        losses.append(pooled_loss(interests, target, negatives, *ids, *numbers))
    return sum(losses) / len(losses)


def pair_loss_of(at_target: float, negatives: list[float], items: int, pair_loss: str) -> float:
    """Return the loss of a pair, from the scores of its usable negatives in order of the trials."""
    hinges = [max(0.0, 1 - at_target + score) for score in negatives]
    if pair_loss == "auc":
        return sum(hinges) / max(1, len(hinges))
    for trial, hinge in enumerate(hinges, start=1):
        if hinge > 0:
            return hinge * sum(1 / j for j in range(1, max(1, (items - 1) // trial) + 1))
    return 0.0


def maxmf_losses(w: Any, pair_loss: str = "warp") -> list[float]:
    shared, count, losses = w.batch.shared, w.config.interests, []
    pairs, drawn = len(w.batch.rows), len(shared.negatives)
    for b, row in enumerate(w.batch.rows):
        vectors = w.params.users[row * count : (row + 1) * count]
        known = {*shared.histories.items[b][shared.histories.mask[b]], shared.target[b]}
        begin = b * drawn // pairs
        tried = [*shared.negatives[begin:], *shared.negatives[:begin]]
        ids = [shared.target[b], *(s for s in tried if s not in known)]
        target, *scores = (max(dot(v, item(w, i)) for v in vectors) for i in ids)
        losses.append(pair_loss_of(target, scores, len(w.catalogue.rows), pair_loss))
    return losses


def item_attention(
    history: Matrix, candidate: Vector, layers: Layers, normalise: bool = False
) -> list[float]:
    """Return the vector of one user for one candidate, of DIN, from the real behaviours."""
    weights = []
    for e in history:
        pairs = list(zip(e, candidate, strict=True))
        x = [*e, *(a - b for a, b in pairs), *(a * b for a, b in pairs), *candidate]
        weights.append(through_layers(x, layers)[0])
    if normalise and weights:
        weights = softmax(weights)
    return weighted(weights, history, len(candidate))


def din_logit(w: Any, b: int, i: int) -> float:
    """Return the logit of candidate i for user b, of DIN."""
    history = [item(w, w.histories.items[b][j]) for j in behaviours(w, b)]
    candidate = item(w, i)
    user = item_attention(history, candidate, w.params.attention, w.config.normalise_attention)
    product = [a * c for a, c in zip(user, candidate, strict=True)] if w.config.product else []
    return through_layers([*user, *candidate, *product, *profile(w, b)], w.params.layers)[0]


def din_loss(w: Any) -> float:
    losses = []
    for b, row in enumerate(w.batch.candidates):
        for i, label in zip(row, w.batch.labels[b], strict=True):
            chance = 1 / (1 + math.exp(-din_logit(w, b, i)))
            losses.append(-math.log(chance if label else 1 - chance))
    return sum(losses) / len(losses)
