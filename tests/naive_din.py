"""DIN once more, a user, a candidate and a number at a time, written from the pages.

As tests/naive.py: plain Python floats and loops, independent of `mindref`. The worked examples of
specs/item_attention.md and specs/din.md were computed with this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.naive import Vector, item, layer, softmax, weighted

Layers = Sequence[tuple[Sequence[Vector], Vector]]


def through(x: Vector, layers: Layers) -> list[float]:
    """The answer of layers, of which every one but the last is rectified."""
    for number, (weight, bias) in enumerate(layers, start=1):
        x = layer(x, weight, bias, number < len(layers))
    return list(x)


def attention_weights(
    history: Sequence[Vector], candidate: Vector, layers: Layers, normalise: bool
) -> list[float]:
    """The weight of each behaviour of one user for one candidate."""
    scores = []
    for e in history:
        pairs = list(zip(e, candidate, strict=True))
        x = [*e, *(a - b for a, b in pairs), *(a * b for a, b in pairs), *candidate]
        scores.append(through(x, layers)[0])
    return softmax(scores) if normalise and scores else scores


def user_vector(
    history: Sequence[Vector], candidate: Vector, layers: Layers, normalise: bool = False
) -> list[float]:
    """The vector of one user for one candidate, from the real behaviours."""
    weights = attention_weights(history, candidate, layers, normalise)
    return weighted(weights, history, len(candidate))


def logit(params: Any, histories: Any, b: int, i: int, catalogue: Any, config: Any) -> float:
    """The logit of candidate i for user b."""
    places = [place for place, real in enumerate(histories.mask[b]) if real]
    history = [item(params, catalogue, histories.items[b][place]) for place in places]
    candidate = item(params, catalogue, i)
    user = user_vector(history, candidate, params.attention, config.normalise_attention)
    product = [a * c for a, c in zip(user, candidate, strict=True)] if config.product else []
    profile = [value for row in histories.profile[b] for value in params.profile[row]]
    return through([*user, *candidate, *product, *profile], params.layers)[0]


def loss(params: Any, batch: Any, catalogue: Any, config: Any) -> float:
    """The mean log loss of a batch."""
    losses = []
    for b, row in enumerate(batch.candidates):
        for i, label in zip(row, batch.labels[b], strict=True):
            z = logit(params, batch.histories, b, i, catalogue, config)
            chance = 1 / (1 + math.exp(-z))
            losses.append(-math.log(chance if label else 1 - chance))
    return sum(losses) / len(losses)
