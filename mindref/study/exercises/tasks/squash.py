"""squash and squash-vjp: norms below and above one, very short and long vectors, zero vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, inner_product


def make_vectors(rng: Generator, *norms: Sequence[float]) -> Array:
    """Return vectors (B, K, 4) with the norms of each user."""
    users = []
    for row in norms:
        x = rng.normal(size=(len(row), 4))
        users.append(x / np.linalg.norm(x, axis=1, keepdims=True) * np.array(row)[:, None])
    return np.stack(users)


def make_squash_cases(rng: Generator) -> Cases:
    """Return vectors (B, K, 4) by their norms."""
    zero = make_vectors(rng, [0.3, 1, 4])
    zero[0, 1] = 0
    two_users = make_vectors(rng, [0.3, 1, 4], [2, 0.5, 1])
    return {
        "norms .3 1 4": {
            "K=3 D=4, norms .3 1 4": {"sums": make_vectors(rng, [0.3, 1, 4])},
            "the same, 2 users": {"sums": two_users},
        },
        "short and long": {
            "norms 1e-4": {"sums": make_vectors(rng, [1e-4, 2e-4, 1e-4])},
            "norms 30": {"sums": make_vectors(rng, [30, 20, 40])},
        },
        "zero vector": {"one zero vector": {"sums": zero}},
        "K = 1": {"K=1 D=4": {"sums": make_vectors(rng, [0.5])}},
    }


def make_squash_vjp_cases(rng: Generator) -> Cases:
    """Return vectors by their norms, and gradients of their capsules."""

    def draw(*norms: Sequence[float]) -> Inputs:
        sums = make_vectors(rng, *norms)
        return {"sums": sums, "d_capsules": rng.normal(size=sums.shape)}

    return {
        "norms .3 1 4": {
            "K=3 D=4, norms .3 1 4": draw([0.3, 1, 4]),
            "2 users, norms .3 to 4": draw([0.3, 1, 4], [2, 0.5, 3]),
        },
        "short and long": {"norms 1e-4": draw([1e-4, 2e-4, 1e-4]), "norms 30": draw([30, 20, 40])},
        "zero vector": {"a single zero vector": draw([0])},
        "K = 1": {"K=1 D=4, norm .5": draw([0.5])},
    }


def explain_squash_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the scaled gradient, and the part of the changing norm."""
    z, g, d = inputs["sums"][index[:-1]], inputs["d_capsules"][index[:-1]], index[-1]
    n = float(np.linalg.norm(z))
    slope = (1 - n * n) / (1 + n * n) ** 2
    radial = slope * float(z @ g) * float(z[d]) / n if n else 0.0
    scaled = n / (1 + n * n) * float(g[d])
    return EntryTerms("sum", (("s g", scaled), ("s' <z, g> z / n", radial)))


TASKS = {
    "squash": ExerciseTask(
        make_squash_cases,
        lambda x: squash.forward(x["sums"])[0],
        lambda x, part, index: EntryTerms.of_squash("z", x["sums"][index[:-1]], index[-1]),
    ),
    "squash-vjp": ExerciseTask(
        make_squash_vjp_cases,
        lambda x: squash.backward(x["d_capsules"], squash.forward(x["sums"])[1]),
        explain_squash_vjp,
        lambda x, perturbed: inner_product(x["d_capsules"], squash.forward(perturbed["sums"])[0]),
        {"norms 1e-4": 1e-6, "a single zero vector": 1e-12},
    ),
}
