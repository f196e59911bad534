"""agreement-vjp: uneven sizes, all sizes alike, and a first use without any gradient."""

from __future__ import annotations

import numpy as np

from mindref.ops.votes import agree, gather, spread
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    alone = case(rng, 1, 3, 2, 4)
    alone["d_votes_so_far"] = np.zeros((1, 3, 4))
    return [
        Group(
            "uneven sizes",
            "a gradient of the votes that is set instead of added, or summed over another index",
            (
                Case("2 users, L=4 K=3 D=5", case(rng, 2, 4, 3, 5)),
                Case("1 user, L=3 K=2 D=4", case(rng, 1, 3, 2, 4)),
            ),
        ),
        Group(
            "L = K = D",
            "where no shape gives a swapped answer away",
            (Case("3 users, L=3 K=3 D=3", case(rng, 3, 3, 3, 3)),),
        ),
        Group(
            "nothing so far",
            "tells the own part from the sum",
            (Case("the first use has no gradient", alone),),
        ),
    ]


def case(rng: np.random.Generator, users: int, places: int, interests: int, width: int) -> Inputs:
    """Return votes, capsules, the gradient of their agreements, and that of the first use."""
    return {
        "votes": rng.normal(size=(users, places, width)),
        "capsules": rng.normal(size=(users, interests, width)) / np.sqrt(width),
        "d_agreement": rng.normal(size=(users, places, interests)),
        "d_votes_so_far": rng.normal(size=(users, places, width)),
    }


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what step 5 of `routing.backward` gives, with what the votes have already."""
    votes, g = given["votes"], given["d_agreement"]
    return given["d_votes_so_far"] + spread(g, given["capsules"], votes), gather(g, votes)


def loss(given: Inputs) -> Loss:
    """Return <d_agreement, agree(votes, capsules)> and the first use, linear in the votes."""
    g, first = given["d_agreement"], given["d_votes_so_far"]

    def value(moved: Inputs) -> float:
        second = np.sum(g * agree(moved["votes"], moved["capsules"]))
        return float(second + np.sum(first * moved["votes"]))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the products that are summed, and what the votes have already."""
    b, at, d = index
    g = given["d_agreement"][b]
    if part == "d_votes":
        products = g[at] * given["capsules"][b, :, d]
        first = ("d_votes_so_far", float(given["d_votes_so_far"][index]))
        rest = ((f"g u of interest {j}", float(x)) for j, x in enumerate(products))
        return Terms("sum", (first, *rest))
    products = g[:, at] * given["votes"][b, :, d]
    return Terms("sum", tuple((f"g m of behaviour {i}", float(x)) for i, x in enumerate(products)))
