"""YouTube DNN once more, a user and a number at a time, written from the page.

What it shares with MIND stands in tests/naive.py.
"""

from __future__ import annotations

import math
from typing import Any

from tests import naive


def weights(positions: Any, behaviours: int) -> list[float]:
    """The weights of a user's behaviours, oldest first."""
    if not len(positions):
        return [1 / behaviours] * behaviours
    raised = [math.exp(positions[0][behaviours - 1 - n]) for n in range(behaviours)]
    return [x / sum(raised) for x in raised]


def user_vector(params: Any, histories: Any, b: int, catalogue: Any, config: Any) -> list[float]:
    """The vector (D,) of user b."""
    ids = [i for i, real in zip(histories.items[b], histories.mask[b], strict=True) if real]
    x = [0.0] * config.width
    if ids:
        vectors = [naive.item(params, catalogue, i) for i in ids]
        x = naive.weighted(weights(params.positions, len(ids)), vectors, config.width)
    for row in histories.profile[b]:
        x = [*x, *params.profile[row]]
    for number, (weight, bias) in enumerate(params.layers):
        rectified = config.last_relu or number < len(params.layers) - 1
        x = naive.layer(x, weight, bias, rectified)
    return x


def loss(params: Any, batch: Any, catalogue: Any, config: Any) -> float:
    """The mean loss of a batch."""
    negatives = [naive.item(params, catalogue, i) for i in batch.negatives]
    losses = [
        naive.sampled_loss(
            user_vector(params, batch.histories, b, catalogue, config),
            naive.item(params, catalogue, i),
            negatives,
            i,
            batch.negatives,
            batch.target_log_expected[b],
            batch.negative_log_expected,
            config.temperature,
            config.normalise,
        )
        for b, i in enumerate(batch.target)
    ]
    return sum(losses) / len(losses)
