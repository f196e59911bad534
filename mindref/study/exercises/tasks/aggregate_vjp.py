"""aggregate-vjp: uneven sizes, all sizes alike, and masked places."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.ops.votes import agree, gather, spread
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms, mask_of


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    masked = mask_of([2, 4], 4)[:, :, None] & mask_of([2, 3], 3)[:, None, :]
    return [
        Group(
            "uneven sizes",
            "an axis summed or left that should not be gives another shape or other numbers",
            (
                Case("2 users, L=4 K=3 D=5", case(rng, np.ones((2, 4, 3), bool), 5)),
                Case("1 user, L=3 K=2 D=4", case(rng, np.ones((1, 3, 2), bool), 4)),
            ),
        ),
        Group(
            "L = K = D",
            "where no shape gives a transposed or swapped answer away",
            (Case("3 users, L=3 K=3 D=3", case(rng, np.ones((3, 3, 3), bool), 3)),),
        ),
        Group(
            "masked",
            "weights of zero: a vote without weight hears nothing, yet its weights have gradients",
            (Case("2 of 4 behaviours, 2 of 3 interests", case(rng, masked, 5)),),
        ),
    ]


def case(rng: np.random.Generator, allowed: Bools, width: int) -> Inputs:
    """Return weights of a softmax, votes and a gradient."""
    users, places, interests = allowed.shape
    weights = softmax.forward(rng.normal(size=allowed.shape), allowed, axis=2)[0]
    votes = rng.normal(size=(users, places, width))
    return {
        "weights": weights,
        "votes": votes,
        "d_sums": rng.normal(size=(users, interests, width)),
    }


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what step 3 of `routing.backward` gives."""
    weights, votes, d_sums = given["weights"], given["votes"], given["d_sums"]
    return agree(votes, d_sums), spread(weights, d_sums, votes)


def loss(given: Inputs) -> Loss:
    """Return <d_sums, gather(weights, votes)>."""
    g = given["d_sums"]
    return lambda moved: float(np.sum(g * gather(moved["weights"], moved["votes"])))


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the products that are summed."""
    b, i, last = index
    w, m, g = given["weights"][b, i], given["votes"][b, i], given["d_sums"][b]
    if part == "d_weights":
        products = g[last] * m
        return Terms(
            "sum", tuple((f"g m of component {d}", float(x)) for d, x in enumerate(products))
        )
    products = w * g[:, last]
    return Terms("sum", tuple((f"w g of interest {j}", float(x)) for j, x in enumerate(products)))
