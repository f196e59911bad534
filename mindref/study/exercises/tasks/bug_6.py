"""bug-6: three rounds, where the bug hides, and fewer and more of them."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing, squash
from mindref.ops.votes import gather, project
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms
from mindref.study.exercises.tasks.route import routed, users


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "three rounds",
            "where the file is right as it is: what was right has to stay so",
            (Case("2 users, r=3", case(rng, 2, 3)),),
        ),
        Group(
            "fewer rounds",
            "a last round that is not the third",
            (Case("r=1", case(rng, 2, 1)), Case("r=2", case(rng, 1, 2))),
        ),
        Group(
            "more rounds",
            "where the third round is nearly the last",
            (Case("r=5", case(rng, 2, 5)),),
        ),
    ]


def case(rng: np.random.Generator, count: int, iterations: int) -> Inputs:
    """Return users, one of them with padding, and a gradient by their capsules."""
    given = users(rng, [5, 3][:count], 5, 4, 3, iterations)
    order = ("history", "mask", "bilinear", "init_logits")
    d_capsules = rng.normal(size=(count, 3, 4))
    kept = {name: given[name] for name in order}
    return {**kept, "d_capsules": d_capsules, "iterations": iterations}


def reference(given: Inputs) -> Array:
    """Return what `routing.backward` gives with gradient="last"."""
    saved = routed(given)[1]._replace(gradient="last")
    return routing.backward(given["d_capsules"], saved)[1]


def loss(given: Inputs) -> Loss:
    """Return <d_capsules, squash(sums)>, the weights of the last round standing still."""
    saved, g = routed(given)[1], given["d_capsules"]

    def value(moved: Inputs) -> float:
        sums = gather(saved.couplings, project(saved.history, moved["bilinear"]))
        return float(np.sum(g * squash.forward(sums)[0]))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return what every behaviour adds: its vote's gradient times its component."""
    d, e = index
    saved = routed(given)[1]
    d_sums = squash.backward(given["d_capsules"], saved.rounds[-1].squash)
    d_votes = saved.couplings @ d_sums
    products = d_votes[:, :, d] * saved.history[:, :, e]
    named = [(b, i) for b, i in np.ndindex(products.shape) if given["mask"][b, i]]
    return Terms(
        "sum",
        tuple((f"user {b}, behaviour {i}", float(products[b, i])) for b, i in named),
    )
