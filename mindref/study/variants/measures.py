"""The telling numbers of a comparison: each of the reference, then of the variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.outcome import Outcome

Pair = tuple[float, float]


class Measure(NamedTuple):
    """One number of both sides."""

    name: str
    text: str  # what it must be, or means
    of: Callable[[Outcome, Outcome], Pair]


def each(number: Callable[[Outcome], float]) -> Callable[[Outcome, Outcome], Pair]:
    """Return a measure of two outcomes from a number of one."""
    return lambda ours, theirs: (float(number(ours)), float(number(theirs)))


def spent(outcome: Outcome) -> Array:
    """Return the weight that each behaviour gives to all interests together."""
    return outcome.w[outcome.mask].sum(axis=1)


def moved(ours: Outcome, theirs: Outcome) -> Pair:
    """Return how far the interests are from the reference's, as a share of their size."""
    return 0.0, float(np.linalg.norm(theirs.u - ours.u) / np.linalg.norm(ours.u))


def shared(ours: Outcome, theirs: Outcome) -> Pair:
    """Return how many items both lists have."""
    known = {found.item for found in ours.top}
    return float(len(known)), float(len(known & {found.item for found in theirs.top}))


def turned(ours: Outcome, theirs: Outcome) -> Pair:
    """Return the cosine of the gradients of S."""
    sizes = np.linalg.norm(ours.d_bilinear) * np.linalg.norm(theirs.d_bilinear)
    return 1.0, float(np.sum(ours.d_bilinear * theirs.d_bilinear) / sizes) if sizes else 0.0


def off(ours: Outcome, theirs: Outcome) -> Pair:
    """Return how far the gradient of S is from the reference's, as a share of its size."""
    size = float(np.linalg.norm(ours.d_bilinear))
    gap = float(np.linalg.norm(theirs.d_bilinear - ours.d_bilinear))
    return 0.0, gap / size if size else 0.0


def widest(outcome: Outcome) -> float:
    """Return the largest difference between two active interests, in any component."""
    return float(np.ptp(outcome.u[outcome.active], axis=0).max(initial=0))


def of_worst(outcome: Outcome) -> float:
    """Return what the attention gives to the active interest that fits the target worst."""
    return float(outcome.h[np.argmin(np.where(outcome.active, outcome.s, np.inf))])


def of_best(outcome: Outcome) -> float:
    """Return what the attention gives to the active interest that fits the target best."""
    return float(outcome.h[np.argmax(np.where(outcome.active, outcome.s, -np.inf))])


MEASURES = {
    "spent_least": Measure(
        "least weight that a behaviour gives away", "must be 1", each(lambda o: spent(o).min())
    ),
    "spent_most": Measure(
        "most weight that a behaviour gives away", "must be 1", each(lambda o: spent(o).max())
    ),
    "gathered_least": Measure(
        "least weight that an active interest gathers",
        "need not be anything",
        each(lambda o: o.w[o.mask][:, o.active].sum(axis=0).min()),
    ),
    "entropy": Measure(
        "entropy of a behaviour's weights (nats)",
        "0 where it speaks to one interest, log K' where it is torn",
        each(lambda o: o.entropy),
    ),
    "cosine": Measure(
        "mean cosine between interests", "1 where they are all alike", each(lambda o: o.cosine)
    ),
    "widest": Measure(
        "largest difference between interests", "0 where they are the same", each(widest)
    ),
    "moved": Measure("interests moved by", "share of their size; must be 0", moved),
    "count": Measure("number of interests K'", "floor(log2 n)", each(lambda o: o.interests)),
    "shared": Measure("items that both lists show", "of the first ten", shared),
    "loss": Measure("loss", "of this training pair", each(lambda o: o.loss)),
    "gradient_share": Measure(
        "norm of the gradient of S", "", each(lambda o: float(np.linalg.norm(o.d_bilinear)))
    ),
    "gradient_cosine": Measure("cosine to the true gradient of S", "must be 1", turned),
    "gradient_off": Measure("gradient of S off by", "share of its size; must be 0", off),
    "worst": Measure(
        "attention to the interest that fits worst", "smallest of all", each(of_worst)
    ),
    "best": Measure("attention to the interest that fits best", "largest of all", each(of_best)),
    "length": Measure(
        "mean length of active interests",
        "",
        each(lambda o: float(np.linalg.norm(o.u[o.active], axis=1).mean())),
    ),
    "outside": Measure(
        "weight that goes to interests the user does not have",
        "must be 0",
        each(lambda o: o.w[o.mask][:, ~o.active].sum()),
    ),
}
