"""Calls at the limits of the floats, and calls with unmasked NaN and infinities.

Cases that the specification leaves open are left out: see the notes of the entries.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.conformance.correct.draws import Drawn, eighths

NAN, INF = np.nan, np.inf
RNG = np.random.default_rng(31)
ROWS = np.array([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]])


def call(*arrays: Any, **numbers: Any) -> Drawn:
    return Drawn(tuple(np.asarray(x) for x in arrays), numbers)


def softmax() -> dict[str, Drawn]:
    ones = np.ones((1, 1), bool)
    rows = [[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, 0.0, 1.0], [-INF] * 3, [1.0, 2.0, 3.0]]
    large = float(np.finfo(np.float32).max)
    return {
        "lost slices beside sound ones": call(rows, ones, axis=1),
        "the largest floats": call([[large, -large, large], [-large] * 3], ones, axis=1),
        "nothing left": call(ROWS, [[False], [True]], axis=-1),
        "an empty axis": call(np.zeros((2, 0)), ones, axis=1),
        "an axis of equal logits": call(np.full((3, 7), 2.5), ones, axis=0),
    }


def squash() -> dict[str, Drawn]:
    large, small = float(np.finfo(np.float32).max), 2.0**-60  # its square is normal in float32
    capsules = {
        "the largest floats": [[large] * 3, [large, 0.0, -1.0], [large / 2, 1e-30, 0.0]],
        "short": np.array([[3.0, 4.0, 0.0], [1.0, 1.0, 1.0]]) * small,
        "of length zero, one and beside it": [[0.0] * 3, [1.0, 0, 0], [0, 1 + 2.0**-20, 0]],
        "lost": [[NAN, 1.0, 2.0], [INF, 1.0, 2.0], [1.0, 2.0, 3.0]],
    }
    found = {f"{name}, {k}": call(x, kind=k) for name, x in capsules.items() for k in KINDS}
    found["of width zero, squash"] = call(np.zeros((2, 0)))
    return found


KINDS = ("squash", "unit")  # whether "none" makes a whole capsule NaN is left open


def routing() -> dict[str, Drawn]:
    """The affected user has neither padding nor inactive interests, whose results are left open."""
    mask = np.arange(4) < np.array([[4], [0], [3]])
    arrays = {
        "history": eighths(RNG, 3, 4, 3),
        "mask": mask,
        "bilinear": eighths(RNG, 3, 3),
        "init_logits": eighths(RNG, 3, 4, 2),
        "active": np.ones((3, 2), bool),
    }
    numbers = {"iterations": 3, "gradient": "all"}
    places = {"history": (0, 1, 2), "init_logits": (0, 2, 1)}
    found = {"no behaviours at all": call(*(arrays | {"mask": mask & False}).values(), **numbers)}
    for name, place in places.items():
        for bad in (NAN, INF):
            spoilt = arrays[name].copy()
            spoilt[place] = bad
            found[f"{bad} in {name}"] = call(*(arrays | {name: spoilt}).values(), **numbers)
    return found


def relu_layer() -> dict[str, Drawn]:
    x = [[1.0, 2.0], [NAN, 1.0], [-INF, 0.0], [0.0, 0.0]]
    arrays = (x, [[1.0, 2.0], [1.0, -1.0]], [0.0, 0.5])
    return {f"lost rows, {relu}": call(*arrays, relu=relu) for relu in (True, False)}


def label_attention() -> dict[str, Drawn]:
    """One-dimensional interests, so that the scores are what is written here."""
    scores = {
        "far apart": [[1e-3, 1e4, -1e4, 1.0]],
        "tied above one": [[3.0, 3.0, -3.0, 1.0]],
        "below one": [[1e-3, 2e-3, -0.5, 0.25]],
        "all negative": [[-2.0, -3.0, -2.0, -1e3]],
        "zeros": [[0.0, 0.0, -1.0, 0.0]],
        "a zero target": [[0.0] * 4],
        "lost beside sound": [[NAN, 1.0, 2.0, 3.0], [1.0, 2.0, INF, 0.0], [1.0, 2.0, 3.0, 0.0]],
    }
    powers = (0.0, 0.5, 1.0, 2.0, 30.0, 1000.0, math.inf)
    return {
        f"{name}, p = {p}": call(
            np.array(s)[:, :, None], np.ones((len(s), 1)), np.ones((len(s), 4), bool), power=p
        )
        for name, s in scores.items()
        for p in powers
    }


def sampled_softmax() -> dict[str, Drawn]:
    """Vectors of one number, users of ones: the logits are the items."""
    found = {}
    logits = {
        "a sure target": (500.0, [0.0, -1.0, 3.0]),
        "a nearly sure target": (30.0, [0.0, -1.0, 3.0]),
        "a lost target": (-500.0, [0.0, 400.0, 3.0]),
        "an infinite target": (INF, [1.0, 0.5]),
    }
    for name, (y, z) in logits.items():
        ids = np.arange(len(z))
        found[name] = call(
            *(np.ones((1, 1)), [[y]], np.array(z)[:, None], [9], ids),
            *([0.0], np.zeros(len(z))),
        )
    alike = ([1.0, 2.0], [0.0, 2.0**20])  # logits by way of the logs: vectors would cancel
    found["large logits"] = call(
        *(ROWS, ROWS, ROWS, [3, 4], [5, 6]), *(np.subtract(x, 2.0**20) for x in alike)
    )
    every = (ROWS, ROWS, ROWS[:1], [3, 3], [3], [0.0, 0.0], [0.0])
    found["every negative a hit"] = call(*every)
    zero = (np.zeros((2, 3)), ROWS, ROWS, [0, 1], [2, 3], [0.0, 0.0], [0.0, 0.0])
    found["users of length zero"] = call(*zero, normalise=True)
    return found


LOST_HIT = call(
    *(np.ones((1, 1)), [[1.0]], [[NAN], [0.5]], np.array([0]), np.arange(2)), [0.0], [0.0, 0.0]
)
"""The negative that is the target is NaN: so is the loss; gradients are left open."""

CALLS = {
    f"{of.__name__}: {name}": (of.__name__, found)
    for of in (softmax, squash, routing, relu_layer, label_attention, sampled_softmax)
    for name, found in of().items()
}
