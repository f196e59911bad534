"""label-attention: scores of both signs under every kind of power, and inactive places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import label_attention
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import Case, Group, Inputs, Terms, mask_of

SIGNS = [[0.9, 0.2, -1.1, -0.6], [-2.1, 1.4, 0.5, -0.3]]
"""Scores of two users; the worst match of each is further from zero than the best."""


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    below = [[-1.5, -0.5, 0.8], [-0.4, -0.9, -1.2]]
    some = mask_of([2, 2], 3)
    return [
        Group(
            "both signs",
            "a power of a negative score: even, odd and fractional",
            tuple(
                Case(f"2 users, K=4 D=3 p={p:g}", case(rng, SIGNS, 3, p)) for p in (2.0, 0.5, 3.0)
            ),
        ),
        Group(
            "p = 0",
            "where signs must not count, nor scores",
            (Case("2 users, p=0", case(rng, SIGNS, 3, 0.0)),),
        ),
        Group(
            "p infinite",
            "the best match, and not the strongest mismatch",
            (Case("2 users, p=inf", case(rng, SIGNS, 3, np.inf)),),
        ),
        Group(
            "inactive",
            "a place without an interest, which would win if it were asked",
            (
                Case("2 of 3 interests, p=2", case(rng, below, 5, 2.0, some)),
                Case("2 of 3 interests, p=inf", case(rng, below, 5, np.inf, some)),
            ),
        ),
        Group(
            "large scores",
            "exp of them is infinite",
            (Case("scores near 9, p=3", case(rng, [[9.2, -8.0, 9.1], [8.0, 9.0, 9.3]], 4, 3.0)),),
        ),
    ]


def case(
    rng: np.random.Generator,
    scores: Sequence[Sequence[float]],
    width: int,
    power: float,
    active: Bools | None = None,
) -> Inputs:
    """Return interests whose products with the target are these scores."""
    wanted = np.array(scores)
    target = rng.normal(size=(len(wanted), width))
    interests = rng.normal(size=(*wanted.shape, width))
    lacking = wanted - np.einsum("bkd,bd->bk", interests, target)
    interests += (lacking / np.sum(target**2, axis=1)[:, None])[..., None] * target[:, None]
    active = np.ones(wanted.shape, bool) if active is None else active
    return {"interests": interests, "target": target, "active": active, "power": float(power)}


def attended(given: Inputs) -> tuple[Array, label_attention.Saved]:
    """Return what the forward of the reference gives."""
    arrays = (given["interests"], given["target"], given["active"])
    return label_attention.forward(*arrays, power=given["power"])


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return weights and user of `label_attention.forward`."""
    user, saved = attended(given)
    return saved.weights.out, user


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the powers in the softmax, or the weighted interests in the sum."""
    _, saved = attended(given)
    b, at = index
    there = np.flatnonzero(given["active"][b])
    if part == "user":
        products = saved.weights.out[b, there] * given["interests"][b, there, at]
        names = (f"h v of interest {k}" for k in there)
        return Terms("sum", tuple(zip(names, map(float, products), strict=True)))
    if np.isinf(given["power"]) or at not in there:
        said = "the largest score takes all" if at in there else "there is no such interest"
        return Terms("sum", ((said, float(saved.weights.out[index])),))
    raised = label_attention.gaps_below_largest(saved.scores, given["active"], given["power"])[b]
    exps = [(f"exp(a) of interest {k}, over the largest", float(np.exp(raised[k]))) for k in there]
    return Terms("quotient", (("exp(a), over the largest", float(np.exp(raised[at]))), *exps))
