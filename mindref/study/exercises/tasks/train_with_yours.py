"""train-with-yours: one step and two, then fifty; every round differentiated, or the last one."""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms
from mindref.study.exercises.training import by_the_library

STEPS = 50


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases: nothing is drawn here, the log and the first parameters are built in."""
    every = {"gradient": "all", "power": 2.0, "steps": STEPS}
    one, two = {**every, "steps": 1}, {**every, "steps": 2}
    last = {"gradient": "last", "power": float("inf"), "steps": STEPS}
    return [
        Group(
            "one step",
            "the first loss: no gradient has been used yet, so what is wrong here is a forward",
            (Case("gradient all, p=2, 1 step", one),),
        ),
        Group(
            "two steps",
            "the second loss: where what is wrong in a gradient shows first",
            (Case("gradient all, p=2, 2 steps", two),),
        ),
        Group(
            "every round",
            "all paths of the routing, and weights of the attention that move",
            (Case("gradient all, p=2, 50 steps", every),),
        ),
        Group(
            "last round",
            "what the library does unless it is told otherwise",
            (Case("gradient last, p=inf, 50 steps", last),),
        ),
    ]


def reference(given: Inputs) -> Array:
    """Return the losses that the library's own operators lead to."""
    return by_the_library(given["gradient"], given["power"], given["steps"])[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the share of each user of the batch in the loss of a step."""
    losses = by_the_library(given["gradient"], given["power"], given["steps"])[1][index]
    shares = losses / len(losses)
    return Terms("sum", tuple((f"user {b}: loss / B", float(x)) for b, x in enumerate(shares)))
