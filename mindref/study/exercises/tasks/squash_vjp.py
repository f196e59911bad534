"""squash-vjp: lengths on both sides of one, very short and long ones, and the zero vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms
from mindref.study.exercises.tasks.squash import vectors


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    one = case(rng, [[0.3, 1, 4]])
    return [
        Group(
            "norms .3 1 4",
            "at length one the part along the direction vanishes; K is not D",
            (
                Case("K=3 D=4, norms .3 1 4", one),
                Case("2 users, norms .3 to 4", case(rng, [[0.3, 1, 4], [2, 0.5, 3]])),
            ),
        ),
        Group(
            "short and long",
            "1 - n and 1 - n^2 are alike for short vectors, a lost factor n is not",
            (
                Case("norms 1e-4", case(rng, [[1e-4, 2e-4, 1e-4]]), step=1e-6),
                Case("norms 30", case(rng, [[30, 20, 40]])),
            ),
        ),
        Group(
            "zero vector",
            "zero over zero",
            (Case("a zero vector alone", case(rng, [[0]]), step=1e-12),),
        ),
        Group(
            "K = 1",
            "a single vector, where a sum over the interests hides",
            (Case("K=1 D=4, norm .5", case(rng, [[0.5]])),),
        ),
    ]


def case(rng: np.random.Generator, norms: Sequence[Sequence[float]]) -> Inputs:
    """Return vectors of those lengths, a list for each user, and a gradient."""
    sums = np.stack([vectors(rng, row) for row in norms])
    return {"sums": sums, "d_capsules": rng.normal(size=sums.shape)}


def reference(given: Inputs) -> Array:
    """Return what `squash.backward` gives."""
    return squash.backward(given["d_capsules"], squash.forward(given["sums"])[1])


def loss(given: Inputs) -> Loss:
    """Return <d_capsules, squash(sums)>."""
    g = given["d_capsules"]
    return lambda moved: float(np.sum(g * squash.forward(moved["sums"])[0]))


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the part of the scaled gradient, and that of the changing length."""
    z, g, d = given["sums"][index[:-1]], given["d_capsules"][index[:-1]], index[-1]
    n = float(np.linalg.norm(z))
    slope = (1 - n * n) / (1 + n * n) ** 2
    along = slope * float(z @ g) * float(z[d]) / n if n else 0.0
    return Terms("sum", (("s g", n / (1 + n * n) * float(g[d])), ("s' <z, g> z / n", along)))
