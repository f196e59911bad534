"""Item neighbours and weighted least squares, with loops over lists, written from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.naive import Vector, dot

Rows = Sequence[Sequence[int]]


def item_weights(rows: Rows, items: int, similarity: str, k1: float, b: float) -> list[list[float]]:
    """The weight of each user (column) in each item (row)."""
    met = [set(row) for row in rows]
    idf = [math.log(items) - math.log(1 + len(mine)) for mine in met]
    users = [[u for u, mine in enumerate(met) if i in mine] for i in range(items)]
    average = sum(map(len, users)) / items
    out = []
    for i in range(items):
        row = [0.0] * len(rows)
        for u in users[i]:
            row[u] = 1.0 if similarity == "cosine" else idf[u]
            if similarity == "bm25":
                length = 1 - b + b * len(users[i]) / average
                row[u] *= (k1 + 1) / (k1 * length + 1)
        length = math.sqrt(dot(row, row))
        if similarity != "bm25" and length > 0:
            row = [x / length for x in row]
        out.append(row)
    return out


def similarities(
    rows: Rows, items: int, similarity: str, neighbours: int, k1: float = 1.2, b: float = 0.75
) -> list[list[float]]:
    """The similarity of items (N, N), zero where one is not among the neighbours of the other."""
    weights = item_weights(rows, items, similarity, k1, b)
    whole = [[dot(x, y) for y in weights] for x in weights]
    out = []
    for row in whole:
        least = sorted(row, reverse=True)[min(neighbours, items) - 1]
        out.append([x if x >= least else 0.0 for x in row])
    return out


def history_weights(history: Sequence[int], decay: float) -> dict[int, float]:
    """What each item of a history counts."""
    oldest = len(history) - 1
    return {item: decay ** (oldest - i) for i, item in enumerate(history)}  # the latest counts


def score(similar: Sequence[Vector], history: Sequence[int], decay: float) -> list[float]:
    """The score of every item after a history."""
    known = history_weights(history, decay)
    return [sum(w * similar[i][j] for i, w in known.items()) for j in range(len(similar))]


def solve(left: list[list[float]], right: list[float]) -> list[float]:
    """The x with left x = right, by Gaussian elimination; left is positive definite."""
    rows = [[*row, value] for row, value in zip(left, right, strict=True)]
    for d, pivot in enumerate(rows):
        for row in rows[d + 1 :]:
            factor = row[d] / pivot[d]
            row[:] = [x - factor * y for x, y in zip(row, pivot, strict=True)]
    x = [0.0] * len(rows)
    for d in reversed(range(len(rows))):
        solved = sum(rows[d][c] * x[c] for c in range(d + 1, len(rows)))
        x[d] = (rows[d][-1] - solved) / rows[d][d]
    return x


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
    return solve(left, right)


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
