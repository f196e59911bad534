"""route-vjp-full: every use of the matrix on its own, and all of them together."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing, softmax, squash
from mindref.ops.votes import agree, gather, project, spread
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms
from mindref.study.exercises.tasks import route_vjp_last
from mindref.study.exercises.tasks.route_vjp_last import of_votes, saved_of


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "three rounds",
            "all paths; in the middle round what is set and what is added differ",
            (
                Case("2 users, L=4 K=3 D=2 r=3", case(rng, [4, 4], 4, 2, 3, 3)),
                Case("1 user, L=3 K=2 D=4 r=4", case(rng, [3], 3, 4, 2, 4)),
            ),
        ),
        Group(
            "one and two rounds",
            "one use, where nothing is agreed with, and three",
            (
                Case("L=4 K=2 D=3 r=1", case(rng, [4], 4, 3, 2, 1)),
                Case("L=3 K=4 D=2 r=2", case(rng, [3], 3, 2, 4, 2)),
            ),
        ),
        Group(
            "padding",
            "a padded place is not used at all",
            (Case("1 and 3 of 4 behaviours", case(rng, [1, 3], 4, 2, 3, 3)),),
        ),
    ]


def case(
    rng: np.random.Generator, lengths: list[int], places: int, width: int, most: int, turns: int
) -> Inputs:
    """Return the inputs of route-vjp-last and a copy of the matrix for each use."""
    given = route_vjp_last.case(rng, lengths, places, width, most, turns)
    return {**given, "copies": np.stack([given["bilinear"]] * (2 * turns - 1))}


def walked(given: Inputs) -> tuple[list[Array], list[Array]]:
    """Return the gradient of the votes at each use, and what each softmax sends to the logits.

    Both in the order of time.
    """
    votes, rounds = (saved := saved_of(given, "all")).votes, saved.rounds
    d_logits, d_capsules = np.zeros_like(given["init_logits"]), given["d_capsules"]
    found, sent = [], []
    for turn in reversed(range(len(rounds))):
        weights, s4, capsules = rounds[turn]
        if turn < len(rounds) - 1:
            found.append(spread(d_logits, capsules, votes))
            d_capsules = gather(d_logits, votes)
        d_sums = squash.backward(d_capsules, s4)
        found.append(spread(weights.out, d_sums, votes))
        sent.append(softmax.backward(agree(votes, d_sums), weights))
        d_logits = d_logits + sent[-1]
    return found[::-1], sent[::-1]


def uses(given: Inputs) -> list[Array]:
    """Return the gradient of the votes at each use, in the order of time."""
    return walked(given)[0]


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return the ledger, and what `routing.backward` gives for gradient="all"."""
    ledger = np.stack([np.einsum("bld,ble->de", use, given["history"]) for use in uses(given)])
    d_history, d_bilinear, d_logits = routing.backward(given["d_capsules"], saved_of(given, "all"))
    return ledger, d_bilinear, d_history, d_logits


def loss(given: Inputs) -> Loss:
    """Return <d_capsules, capsules> of the loop, unrolled with a matrix of its own for each use."""
    g, turns, allowed = given["d_capsules"], given["iterations"], given["mask"][:, :, None]

    def value(moved: Inputs) -> float:
        matrices = moved["copies"] + (moved["bilinear"] - given["bilinear"])
        logits = moved["init_logits"]
        for turn in range(turns):
            weights, _ = softmax.forward(logits, np.broadcast_to(allowed, logits.shape), axis=2)
            sums = gather(weights, project(moved["history"], matrices[2 * turn]))
            capsules, _ = squash.forward(sums)
            if turn < turns - 1:
                again = project(moved["history"], matrices[2 * turn + 1])
                logits = logits + agree(again, capsules)
        return float(np.sum(g * capsules))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the uses of the matrix that are summed, or what one use is made of."""
    if part == "ledger":
        made = of_votes(given, uses(given)[index[0]], "d_bilinear", index[1:])
        at = use_named(index[0])
        return Terms(made.how, tuple((f"{at}, {text}", value) for text, value in made.numbers))
    if part == "d_init_logits":
        sent = walked(given)[1]
        return Terms("sum", tuple((f"softmax {t}", float(x[index])) for t, x in enumerate(sent, 1)))
    found = []
    for place, use in enumerate(uses(given)):
        found.append((use_named(place), of_votes(given, use, part, index).value))
    return Terms("sum", tuple(found))


def use_named(place: int) -> str:
    """Return a use of the matrix in words: sums 1, agreement 1, sums 2, ..."""
    return f"{'agreement' if place % 2 else 'sums'} {place // 2 + 1}"
