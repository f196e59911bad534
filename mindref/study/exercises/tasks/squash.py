"""squash: lengths on both sides of one, very short and long ones, and the zero vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    zero = vectors(rng, [0.3, 1, 4])[None]
    zero[0, 1] = 0
    batch = np.stack([vectors(rng, [0.3, 1, 4]), vectors(rng, [2, 0.5, 1])])
    return [
        Group(
            "norms .3 1 4",
            "at length one n, n^2 and 1/n are the same number; K is not D",
            (
                Case("K=3 D=4, norms .3 1 4", {"sums": vectors(rng, [0.3, 1, 4])[None]}),
                Case("the same, 2 users", {"sums": batch}),
            ),
        ),
        Group(
            "short and long",
            "a small number added to the length shows at short ones, a length left in at long ones",
            (
                Case("norms 1e-4", {"sums": vectors(rng, [1e-4, 2e-4, 1e-4])[None]}),
                Case("norms 30", {"sums": vectors(rng, [30, 20, 40])[None]}),
            ),
        ),
        Group("zero vector", "zero over zero", (Case("one zero vector", {"sums": zero}),)),
        Group(
            "K = 1",
            "a single interest, where a wrong axis has size one",
            (Case("K=1 D=4", {"sums": vectors(rng, [0.5])[None]}),),
        ),
    ]


def vectors(rng: np.random.Generator, norms: Sequence[float], width: int = 4) -> Array:
    """Return vectors of those lengths, one below the other."""
    x = rng.normal(size=(len(norms), width))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * np.array(norms)[:, None]


def reference(given: Inputs) -> Array:
    """Return the capsules of `squash.forward`."""
    return squash.forward(given["sums"])[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the component and what it is scaled by."""
    z = given["sums"][index[:-1]]
    n = float(np.linalg.norm(z))
    return Terms("product", (("z", float(z[index[-1]])), ("n / (1 + n^2)", n / (1 + n * n))))
