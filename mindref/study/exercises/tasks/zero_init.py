"""zero-init: numbers of interests, behaviours and rounds that all differ, and one round alone."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "three rounds",
            "a prediction that depends on the round; K, L and r are different numbers",
            (
                case(rng, "2 users, L=5 K=4 r=3", (2, 5, 6), 4, 3),
                case(rng, "1 user, L=3 K=2 r=4", (1, 3, 4), 2, 4),
            ),
        ),
        Group(
            "one round",
            "what happens before any update: the share that each interest gets",
            (case(rng, "L=4 K=3 r=1", (2, 4, 5), 3, 1),),
        ),
    ]


def case(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], interests: int, iterations: int
) -> Case:
    """Return a case with votes of length near one."""
    votes = 0.5 * rng.normal(size=shape)
    return Case(name, {"votes": votes, "interests": interests, "iterations": iterations})


def rounds(given: Inputs) -> tuple[Array, list[Array]]:
    """Return the weights of the last round, and the capsules of every round, by `routing`."""
    votes, interests = given["votes"], given["interests"]
    users, behaviours, width = votes.shape
    _, saved = routing.forward(
        votes,
        np.ones((users, behaviours), bool),
        np.eye(width),
        np.zeros((users, behaviours, interests)),
        np.ones((users, interests), bool),
        iterations=given["iterations"],
        gradient="all",
    )
    return saved.couplings, [turn.capsules for turn in saved.rounds]


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return the largest differences, the last weights, the last capsules."""
    weights, capsules = rounds(given)
    return np.array([np.max(np.ptp(u, axis=1)) for u in capsules]), weights, capsules[-1]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return two equal numbers, a share, or a mean of votes and its scale."""
    interests = given["interests"]
    if part == "differences":
        u = float(rounds(given)[1][index[0]][0, 0, 0])
        return Terms("sum", (("a component of interest 0", u), ("less that of another", -u)))
    if part == "weights":
        ones = tuple((f"exp(0) of interest {k}", 1.0) for k in range(interests))
        return Terms("quotient", (ones[index[2]], *ones))
    z = given["votes"][index[0]].sum(axis=0) / interests
    n = float(np.linalg.norm(z))
    return Terms(
        "product", (("sum of votes / K", float(z[index[2]])), ("n / (1 + n^2)", n / (1 + n * n)))
    )
