"""route: several rounds, padding, other users in the batch, and the same users once more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import routing
from mindref.ops.votes import gather
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms, mask_of


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    alone = users(rng, [5], 5, 4, 3, 3)
    several = users(rng, [5, 4, 5], 5, 4, 3, 3)
    return [
        Group(
            "three rounds",
            "what is added to the logits shows from the second round on, and stays in the third",
            (
                Case("1 user, L=5 K=3 D=4 r=3", alone),
                Case("L=4 K=2 D=3 r=5", users(rng, [4], 4, 3, 2, 5)),
            ),
        ),
        Group(
            "one and two rounds",
            "a round too many or too few",
            (
                Case("r=1", users(rng, [5], 5, 4, 3, 1)),
                Case("r=2", users(rng, [5], 5, 4, 3, 2)),
            ),
        ),
        Group(
            "padding",
            "what stands in padded places must not be heard",
            (Case("2 and 4 of 5 behaviours", users(rng, [2, 4], 5, 4, 3, 3)),),
        ),
        Group(
            "several users",
            "sums over the batch: no user may hear of another",
            (Case("3 users", several),),
        ),
        Group(
            "once more",
            "something that is kept between calls: from the call before, or from the first one",
            (Case("the 3 users again", several), Case("the first user again", alone)),
        ),
    ]


def users(
    rng: np.random.Generator, lengths: Sequence[int], places: int, width: int, most: int, turns: int
) -> Inputs:
    """Return users of so many behaviours."""
    count = len(lengths)
    return {
        "history": rng.normal(size=(count, places, width)),
        "mask": mask_of(lengths, places),
        "bilinear": rng.normal(size=(width, width)) / np.sqrt(width),
        "init_logits": rng.normal(size=(count, places, most)),
        "iterations": turns,
    }


def routed(given: Inputs) -> tuple[Array, routing.Saved]:
    """Return what `routing.forward` gives."""
    logits = given["init_logits"]
    active = np.ones((len(logits), logits.shape[2]), bool)
    arrays = (given["history"], given["mask"], given["bilinear"], logits, active)
    return routing.forward(*arrays, iterations=given["iterations"], gradient="all")


def reference(given: Inputs) -> Array:
    """Return the capsules of `routing.forward`."""
    return routed(given)[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the sum of the last round and what squash multiplies it by."""
    _, saved = routed(given)
    b, j, d = index
    z = gather(saved.couplings, saved.votes)[b, j]
    n = float(np.linalg.norm(z))
    scale = ("n / (1 + n^2)", n / (1 + n * n))
    return Terms("product", (("z of the last round", float(z[d])), scale))
