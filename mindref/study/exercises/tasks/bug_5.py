"""bug-5: powers that are one, even, odd and fractional, with scores of both signs."""

from __future__ import annotations

import numpy as np

from mindref.ops import label_attention, routing
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "p = 1",
            "any way to treat negative scores that changes them shows even here",
            (Case("2 users, p = 1", users(rng, 2, 3, 1.0)),),
        ),
        Group(
            "even p",
            "the power of a negative score is positive",
            (Case("2 users, p = 2", users(rng, 2, 3, 2.0)), Case("p = 4", users(rng, 1, 4, 4.0))),
        ),
        Group(
            "odd p",
            "where a raw power is right, and what only looks like one is not",
            (Case("2 users, p = 3", users(rng, 2, 3, 3.0)),),
        ),
        Group(
            "fractional p",
            "a root of a negative number",
            (Case("2 users, p = 0.5", users(rng, 2, 3, 0.5)),),
        ),
    ]


def users(rng: np.random.Generator, count: int, interests: int, power: float) -> Inputs:
    """Return users and targets whose scores have both signs, for every user."""
    while True:
        given: Inputs = {
            "history": 2 * rng.normal(size=(count, 5, 4)),
            "bilinear": rng.normal(size=(4, 4)) / 2,
            "init_logits": 3 * rng.normal(size=(count, 5, interests)),
            "target": 2 * rng.normal(size=(count, 4)),
            "power": power,
        }
        scores = attended(given)[1].scores
        if (scores.min(axis=1) < -0.3).all() and (scores.max(axis=1) > 0.3).all():
            return given


def attended(given: Inputs) -> tuple[Array, label_attention.Saved]:
    """Return what `label_attention.forward` makes of the capsules of `routing.forward`."""
    history, logits = given["history"], given["init_logits"]
    active = np.ones((len(logits), logits.shape[2]), bool)
    mask = np.ones(history.shape[:2], bool)
    arrays = (history, mask, given["bilinear"], logits, active)
    capsules, _ = routing.forward(*arrays, iterations=3, gradient="all")
    return label_attention.forward(capsules, given["target"], active, power=given["power"])


def reference(given: Inputs) -> Array:
    """Return the user's vector."""
    return attended(given)[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return weight times component of every interest."""
    b, d = index
    saved = attended(given)[1]
    products = saved.weights.out[b] * saved.interests[b, :, d]
    return Terms("sum", tuple((f"h u of interest {k}", float(x)) for k, x in enumerate(products)))
