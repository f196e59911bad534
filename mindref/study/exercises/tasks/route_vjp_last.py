"""route-vjp-last: the gradient with the weights of the last round held constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import routing, squash
from mindref.ops.votes import gather, project, spread
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms
from mindref.study.exercises.tasks.route import users


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "several rounds",
            "the weights of the last round are others than those of the first; L, K, D differ",
            (
                Case("2 users, L=4 K=3 D=5 r=3", case(rng, [4, 4], 4, 5, 3, 3)),
                Case("1 user, L=5 K=2 D=3 r=4", case(rng, [5], 5, 3, 2, 4)),
            ),
        ),
        Group(
            "one round",
            "where only what the logits hear tells the two gradients apart",
            (Case("L=4 K=2 D=3 r=1", case(rng, [4], 4, 3, 2, 1)),),
        ),
        Group(
            "padding",
            "a padded place has a gradient of zero",
            (Case("1 and 3 of 4 behaviours", case(rng, [1, 3], 4, 4, 3, 2)),),
        ),
    ]


def case(
    rng: np.random.Generator, lengths: Sequence[int], places: int, width: int, most: int, turns: int
) -> Inputs:
    """Return users, and the gradient by their capsules."""
    given = users(rng, lengths, places, width, most, turns)
    return {**given, "d_capsules": rng.normal(size=(len(lengths), most, width))}


def saved_of(given: Inputs, gradient: str) -> routing.Saved:
    """Return what the forward of the reference leaves."""
    logits = given["init_logits"]
    active = np.ones((len(logits), logits.shape[2]), bool)
    arrays = (given["history"], given["mask"], given["bilinear"], logits, active)
    return routing.forward(*arrays, iterations=given["iterations"], gradient=gradient)[1]


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what `routing.backward` gives for gradient="last"."""
    return routing.backward(given["d_capsules"], saved_of(given, "last"))


def loss(given: Inputs) -> Loss:
    """Return <d_capsules, squash(sum of votes)>, under the weights of the unmoved inputs."""
    g, weights = given["d_capsules"], saved_of(given, "last").couplings

    def value(moved: Inputs) -> float:
        sums = gather(weights, project(moved["history"], moved["bilinear"]))
        return float(np.sum(g * squash.forward(sums)[0]))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the products with the gradient of the votes."""
    saved = saved_of(given, "last")
    d_sums = squash.backward(given["d_capsules"], saved.rounds[-1].squash)
    return of_votes(given, spread(saved.couplings, d_sums, saved.votes), part, index)


def of_votes(given: Inputs, d_votes: Array, part: str, index: tuple[int, ...]) -> Terms:
    """Return the products that make an entry of a gradient, from that of the votes."""
    if part == "d_init_logits":
        return Terms("sum", (("the weights stand still", 0.0),))
    if part == "d_history":
        b, i, e = index
        products = d_votes[b, i] * given["bilinear"][:, e]
        named = (f"component {d}: d_m S" for d in range(len(products)))
        return Terms("sum", tuple(zip(named, map(float, products), strict=True)))
    d, e = index
    products = (d_votes[..., d] * given["history"][..., e])[given["mask"]]
    named = (f"user {b}, behaviour {i}: d_m e" for b, i in np.argwhere(given["mask"]))
    return Terms("sum", tuple(zip(named, map(float, products), strict=True)))
