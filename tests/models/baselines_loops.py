"""Item neighbours and weighted least squares, with loops over lists, written from the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.naive import Vector

Rows = Sequence[Sequence[int]]


def history_weights(history: Sequence[int], decay: float) -> dict[int, float]:
    """What each item of a history counts."""
    oldest = len(history) - 1
    return {item: decay ** (oldest - i) for i, item in enumerate(history)}  # the latest counts


def score(similar: Sequence[Vector], history: Sequence[int], decay: float) -> list[float]:
    """The score of every item after a history."""
    known = history_weights(history, decay)
    return [sum(w * similar[i][j] for i, w in known.items()) for j in range(len(similar))]


def fold_in(
    factors: Sequence[Vector], confidence: dict[int, float], regularization: float
) -> list[float]:
    """The vector with the least sum of confidence times squared error, over all items."""
    width = len(factors[0])
    left = [[regularization * (c == d) for c in range(width)] for d in range(width)]
    right = [0.0] * width
    for i, y in enumerate(factors):
        weight = confidence.get(i, 1.0)
        for d in range(width):
            right[d] += weight * y[d] * (i in confidence)
            for c in range(width):
                left[d][c] += weight * y[d] * y[c]
    return np.linalg.solve(left, right).tolist()


def alternate(
    rows: Rows,
    users: list[list[float]],
    factors: list[list[float]],
    regularization: float,
    alpha: float,
    iterations: int,
) -> list[list[float]]:
    """The factors of items after so many iterations: users first, then items."""
    met = [set(row) for row in rows]
    of_item = [{u: alpha for u, mine in enumerate(met) if i in mine} for i in range(len(factors))]
    for _ in range(iterations):
        users = [fold_in(factors, dict.fromkeys(mine, alpha), regularization) for mine in met]
        factors = [fold_in(users, mine, regularization) for mine in of_item]
    return factors
