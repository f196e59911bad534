"""label-attention-vjp: both signs, powers on both sides of one, both ends, inactive places."""

from __future__ import annotations

import numpy as np

from mindref.ops import label_attention
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms, mask_of
from mindref.study.exercises.tasks.label_attention import SIGNS, attended
from mindref.study.exercises.tasks.label_attention import case as scored


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    three = [[0.9, -0.7, 1.3], [0.6, -1.2, -0.5]]
    some = mask_of([2, 2], 3)
    return [
        Group(
            "p = 1",
            "the slope of the power is one: what is wrong here is not the power",
            (Case("2 users, K=4 D=3 p=1", case(rng, SIGNS, 3, 1.0)),),
        ),
        Group(
            "both signs",
            "the slope of the power at negative scores",
            (
                Case("p=2", case(rng, SIGNS, 3, 2.0), step=1e-4),
                Case("p=3", case(rng, [[0.9, 0.4, -1.1]], 4, 3.0), step=1e-4),
                Case("p=0.5", case(rng, SIGNS, 3, 0.5), step=1e-4),
            ),
        ),
        Group(
            "weights that stand still",
            "p = 0 and p infinite: only the sum is differentiated",
            (
                Case("p=0", case(rng, three, 4, 0.0)),
                Case("p=inf", case(rng, three, 4, np.inf)),
            ),
        ),
        Group(
            "inactive",
            "scores of exactly zero, where the slope of the power may be infinite",
            (
                Case("2 of 3 interests, p=0.5", case(rng, three, 4, 0.5, some), step=1e-4),
                Case("2 of 3 interests, p=2", case(rng, three, 4, 2.0, some), step=1e-4),
            ),
        ),
    ]


def case(
    rng: np.random.Generator,
    scores: list[list[float]],
    width: int,
    power: float,
    active: Bools | None = None,
) -> Inputs:
    """Return interests of these scores, zero where inactive, and gradients."""
    given = scored(rng, scores, width, power, active)
    given["interests"] *= given["active"][..., None]
    shape = given["target"].shape
    return {**given, "d_user": rng.normal(size=shape), "d_target_so_far": rng.normal(size=shape)}


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what `label_attention.backward` gives, with what the target has already."""
    d_interests, d_query = label_attention.backward(given["d_user"], attended(given)[1])
    return d_interests, given["d_target_so_far"] + d_query


def loss(given: Inputs) -> Loss:
    """Return <d_user, user> and the first use of the target, linear in it."""

    def value(moved: Inputs) -> float:
        first = np.sum(given["d_target_so_far"] * moved["target"])
        return float(first + np.sum(given["d_user"] * attended(moved)[0]))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the two parts of an interest's gradient, or what each score sends to the target."""
    saved, power = attended(given)[1], given["power"]
    b, weights = index[0], saved.weights.out
    d_weights = saved.interests[b] @ given["d_user"][b]
    d_raised = weights[b] * (d_weights - weights[b] @ d_weights)
    d_scores = np.zeros_like(d_raised)
    if 0 < power < np.inf:
        d_scores = label_attention.through_power(d_raised, saved.scores[b], power)
    if part == "d_target":
        first = ("d_target_so_far", float(given["d_target_so_far"][index]))
        products = d_scores * saved.interests[b, :, index[1]]
        rest = ((f"d_s v of interest {k}", float(x)) for k, x in enumerate(products))
        return Terms("sum", (first, *rest))
    _, k, d = index
    as_value = ("as value: h g", float(weights[b, k] * given["d_user"][b, d]))
    return Terms("sum", (as_value, ("as key: d_s e", float(d_scores[k] * given["target"][b, d]))))
