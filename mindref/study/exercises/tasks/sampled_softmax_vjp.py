"""sampled-softmax-vjp: the cases of sampled-softmax, with a gradient that comes in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import sampled_softmax as reference_loss
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms
from mindref.study.exercises.tasks import sampled_softmax


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "no hits",
            "what a user, a target and a negative hear; B, S and D differ",
            (
                Case("3 users, S=4 D=5", case(rng, [1, 2, 3], [4, 5, 6, 7], 5)),
                Case("1 user, S=3 D=2", case(rng, [8], [0, 1, 2], 2)),
            ),
        ),
        Group(
            "hits",
            "a negative that is the target of one user and not of the others",
            (
                Case("a hit for user 0 and for user 2", case(rng, [4, 2, 6], [5, 4, 6, 7], 3)),
                Case("S=2, both hits", case(rng, [4], [4, 4], 3)),
            ),
        ),
        Group(
            "repeats",
            "a negative in two places, each with a row of its own",
            (Case("9 twice", case(rng, [4, 2], [9, 3, 9, 5], 3)),),
        ),
    ]


def case(
    rng: np.random.Generator, targets: Sequence[int], negatives: Sequence[int], width: int
) -> Inputs:
    """Return a batch and the gradient that comes in."""
    given = sampled_softmax.case(rng, targets, negatives, width)
    return {**given, "d_loss": float(rng.uniform(0.5, 2))}


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what `sampled_softmax.backward` gives."""
    return reference_loss.backward(given["d_loss"], sampled_softmax.mean_loss(given)[1])


def loss(given: Inputs) -> Loss:
    """Return d_loss times the mean loss."""
    return lambda moved: given["d_loss"] * float(sampled_softmax.mean_loss(moved)[0])


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return what each product sends to the entry."""
    each = given["d_loss"] / len(given["user"])
    p = sampled_softmax.mean_loss(given)[1].p_negatives
    at, d = index
    user, target, negatives = (given[n][:, d] for n in ("user", "target", "negatives"))
    if part == "d_negatives":
        sent = p[:, at] * user * each
        return Terms("sum", tuple((f"user {b}: p g/B q", float(x)) for b, x in enumerate(sent)))
    pulled = -float(p[at].sum()) * each
    if part == "d_target":
        return Terms("sum", (("(p - 1) g/B q", pulled * float(user[at])),))
    sent = p[at] * negatives * each
    rest = ((f"negative {s}: p g/B n", float(x)) for s, x in enumerate(sent))
    return Terms("sum", (("target: (p - 1) g/B t", pulled * float(target[at])), *rest))
