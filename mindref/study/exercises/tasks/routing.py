"""Routing: zero-init, route, route-vjp-last, route-vjp-full and bug-6."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mindref.ops import routing, softmax, squash
from mindref.ops.votes import project_votes, spread_to_votes, sum_votes, vote_agreement
from mindref.shapes import Array
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    inner_product,
    make_mask,
)


def make_users(
    rng: Generator, lengths: Sequence[int], behaviours: int, width: int, interests: int, r: int
) -> Inputs:
    """Return users with histories of these lengths, padded to `behaviours`, and r iterations."""
    count = len(lengths)
    return {
        "history": rng.normal(size=(count, behaviours, width)),
        "mask": make_mask(lengths, behaviours),
        "bilinear": rng.normal(size=(width, width)) / np.sqrt(width),
        "init_logits": rng.normal(size=(count, behaviours, interests)),
        "iterations": r,
    }


def make_users_and_gradient(rng: Generator, lengths: Sequence[int], *sizes: int) -> Inputs:
    """Return users, and a gradient with respect to their capsules; sizes: as in `make_users`."""
    users, (_, width, interests, _) = make_users(rng, lengths, *sizes), sizes
    return {**users, "d_capsules": rng.normal(size=(len(lengths), interests, width))}


def run_routing(inputs: Inputs, gradient: str = "all") -> tuple[Array, routing.Saved]:
    """Return the result of `routing.forward` with all interests active."""
    logits = inputs["init_logits"]
    active = np.ones((len(logits), logits.shape[2]), bool)
    return routing.forward(
        inputs["history"],
        inputs["mask"],
        inputs["bilinear"],
        logits,
        active,
        iterations=inputs["iterations"],
        gradient=gradient,
    )


def make_zero_init_cases(rng: Generator) -> Cases:
    """Return votes of norm near one."""

    def draw(shape: tuple[int, ...], interests: int, iterations: int) -> Inputs:
        votes = 0.5 * rng.normal(size=shape)
        return {"votes": votes, "interests": interests, "iterations": iterations}

    return {
        "three iterations": {
            "2 users, L=5 K=4 r=3": draw((2, 5, 6), 4, 3),
            "1 user, L=3 K=2 r=4": draw((1, 3, 4), 2, 4),
        },
        "one iteration": {"L=4 K=3 r=1": draw((2, 4, 5), 3, 1)},
    }


def route_from_zero(inputs: Inputs) -> tuple[Array, ...]:
    """Return the largest differences, the last weights, the last capsules."""
    votes = inputs["votes"]
    users, behaviours, width = votes.shape
    _, saved = run_routing(
        {
            "history": votes,
            "mask": np.ones((users, behaviours), bool),
            "bilinear": np.eye(width),
            "init_logits": np.zeros((users, behaviours, inputs["interests"])),
            "iterations": inputs["iterations"],
        }
    )
    capsules = [iteration.capsules for iteration in saved.iterations]
    differences = np.array([np.max(np.ptp(u, axis=1)) for u in capsules])
    return differences, saved.couplings, capsules[-1]


def explain_zero_init(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return two equal numbers, a weight, or the sum of the votes and its factor."""
    interests = inputs["interests"]
    if part == "differences":
        iterations = {**inputs, "iterations": index[0] + 1}
        u = float(route_from_zero(iterations)[2][0, 0, 0])
        numbers = (("a component of interest 0", u), ("minus that of interest 1", -u))
        return EntryTerms("sum", numbers)
    if part == "weights":
        return EntryTerms.of_softmax("exp(0) of interest {}", np.zeros(interests), index[2])
    z = inputs["votes"][index[0]].sum(axis=0) / interests
    return EntryTerms.of_squash("sum of votes / K", z, index[2])


def make_route_cases(rng: Generator) -> Cases:
    """Return several iterations, padding, other users, and the same users again."""
    one_user = make_users(rng, [5], 5, 4, 3, 3)
    three_users = make_users(rng, [5, 4, 5], 5, 4, 3, 3)
    return {
        "three iterations": {
            "1 user, L=5 K=3 D=4 r=3": one_user,
            "L=4 K=2 D=3 r=5": make_users(rng, [4], 4, 3, 2, 5),
        },
        "one and two iterations": {f"r={r}": make_users(rng, [5], 5, 4, 3, r) for r in (1, 2)},
        "padding": {"2 and 4 of 5 behaviours": make_users(rng, [2, 4], 5, 4, 3, 3)},
        "several users": {"3 users": three_users},
        "the same again": {"the 3 users again": three_users, "the first user again": one_user},
    }


def explain_capsule(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the sum of the last iteration and the factor of squash."""
    _, saved = run_routing(inputs)
    b, k, d = index
    z = sum_votes(saved.couplings, saved.votes)[b, k]
    return EntryTerms.of_squash("z of the last iteration", z, d)


def make_route_vjp_last_cases(rng: Generator) -> Cases:
    """Return several iterations, one iteration, and padding."""
    return {
        "several iterations": {
            "2 users, L=4 K=3 D=5 r=3": make_users_and_gradient(rng, [4, 4], 4, 5, 3, 3),
            "1 user, L=5 K=2 D=3 r=4": make_users_and_gradient(rng, [5], 5, 3, 2, 4),
        },
        "one iteration": {"L=4 K=2 D=3 r=1": make_users_and_gradient(rng, [4], 4, 3, 2, 1)},
        "padding": {"1 and 3 of 4 behaviours": make_users_and_gradient(rng, [1, 3], 4, 4, 3, 2)},
    }


def route_vjp_last(inputs: Inputs) -> tuple[Array, ...]:
    """Return the result of `routing.backward` with gradient="last"."""
    return routing.backward(inputs["d_capsules"], run_routing(inputs, "last")[1])


def compute_last_iteration_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_capsules, squash(sums)> with the weights of the unperturbed inputs."""
    weights = run_routing(inputs, "last")[1].couplings
    sums = sum_votes(weights, project_votes(perturbed["history"], perturbed["bilinear"]))
    return inner_product(inputs["d_capsules"], squash.forward(sums)[0])


def explain_route_vjp_last(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the products with the gradient of the votes."""
    saved = run_routing(inputs, "last")[1]
    d_sums = squash.backward(inputs["d_capsules"], saved.iterations[-1].squash)
    d_votes = spread_to_votes(saved.couplings, d_sums, saved.votes)
    return explain_from_votes(inputs, d_votes, part, index)


def explain_from_votes(
    inputs: Inputs, d_votes: Array, part: str, index: tuple[int, ...]
) -> EntryTerms:
    """Return the products of an entry of a gradient, computed from the gradient of the votes."""
    if part == "d_init_logits":
        return EntryTerms("sum", (("zero: the weights are constant", 0.0),))
    if part == "d_history":
        b, i, e = index
        products = d_votes[b, i] * inputs["bilinear"][:, e]
        return EntryTerms.of_sum("component {}: d_(S e) S", products)
    d, e = index
    products = (d_votes[..., d] * inputs["history"][..., e])[inputs["mask"]]
    numbers = zip(np.argwhere(inputs["mask"]), products, strict=True)
    return EntryTerms(
        "sum", tuple((f"user {b}, behaviour {i}: d_(S e) e", float(x)) for (b, i), x in numbers)
    )


def make_route_vjp_full_cases(rng: Generator) -> Cases:
    """Return users and gradients, and a copy of the matrix for each of its uses."""

    def draw(*sizes: int, lengths: Sequence[int]) -> Inputs:
        inputs = make_users_and_gradient(rng, lengths, *sizes)
        return {**inputs, "copies": np.stack([inputs["bilinear"]] * (2 * sizes[-1] - 1))}

    return {
        "three iterations": {
            "2 users, L=4 K=3 D=2 r=3": draw(4, 2, 3, 3, lengths=[4, 4]),
            "1 user, L=3 K=2 D=4 r=4": draw(3, 4, 2, 4, lengths=[3]),
        },
        "one and two iterations": {
            "L=4 K=2 D=3 r=1": draw(4, 3, 2, 1, lengths=[4]),
            "L=3 K=4 D=2 r=2": draw(3, 2, 4, 2, lengths=[3]),
        },
        "padding": {"1 and 3 of 4 behaviours": draw(4, 2, 3, 3, lengths=[1, 3])},
    }


def find_use_gradients(inputs: Inputs) -> tuple[list[Array], list[Array]]:
    """Return the gradient of the votes at each use, and of the logits at each softmax.

    Both lists are in the order of forward.
    """
    saved = run_routing(inputs)[1]
    votes, iterations = saved.votes, saved.iterations
    d_logits, d_capsules = np.zeros_like(inputs["init_logits"]), inputs["d_capsules"]
    vote_gradients, logit_gradients = [], []
    for iteration in reversed(range(len(iterations))):
        weights, squash_saved, capsules = iterations[iteration]
        if iteration < len(iterations) - 1:
            vote_gradients.append(spread_to_votes(d_logits, capsules, votes))
            d_capsules = sum_votes(d_logits, votes)
        d_sums = squash.backward(d_capsules, squash_saved)
        vote_gradients.append(spread_to_votes(weights.out, d_sums, votes))
        logit_gradients.append(softmax.backward(vote_agreement(votes, d_sums), weights))
        d_logits = d_logits + logit_gradients[-1]
    return vote_gradients[::-1], logit_gradients[::-1]


def route_vjp_full(inputs: Inputs) -> tuple[Array, ...]:
    """Return the ledger, and the result of `routing.backward` with gradient="all"."""
    uses, _ = find_use_gradients(inputs)
    ledger = np.stack([np.einsum("bld,ble->de", use, inputs["history"]) for use in uses])
    saved = run_routing(inputs)[1]
    d_history, d_bilinear, d_logits = routing.backward(inputs["d_capsules"], saved)
    return ledger, d_bilinear, d_history, d_logits


def compute_full_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_capsules, capsules>, with a separate matrix for each use."""
    matrices = perturbed["copies"] + (perturbed["bilinear"] - inputs["bilinear"])
    logits, iterations = perturbed["init_logits"], inputs["iterations"]
    allowed = np.broadcast_to(inputs["mask"][:, :, None], logits.shape)
    for iteration in range(iterations):
        weights, _ = softmax.forward(logits, allowed, axis=2)
        votes = project_votes(perturbed["history"], matrices[2 * iteration])
        capsules, _ = squash.forward(sum_votes(weights, votes))
        if iteration < iterations - 1:
            votes = project_votes(perturbed["history"], matrices[2 * iteration + 1])
            logits = logits + vote_agreement(votes, capsules)
    return inner_product(inputs["d_capsules"], capsules)


def explain_route_vjp_full(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the uses of the matrix that are summed, or the products of one use."""
    uses, logit_gradients = find_use_gradients(inputs)
    names = [f"{'agreement' if i % 2 else 'sums'} {i // 2 + 1}" for i in range(len(uses))]
    if part == "ledger":
        terms = explain_from_votes(inputs, uses[index[0]], "d_bilinear", index[1:])
        name = names[index[0]]
        return EntryTerms("sum", tuple((f"{name}, {text}", x) for text, x in terms.numbers))
    if part == "d_init_logits":
        gradients = enumerate(logit_gradients, 1)
        return EntryTerms("sum", tuple((f"softmax {t}", float(x[index])) for t, x in gradients))
    values = (explain_from_votes(inputs, use, part, index).value for use in uses)
    return EntryTerms("sum", tuple(zip(names, values, strict=True)))


def make_bilinear_cases(rng: Generator) -> Cases:
    """Return three iterations, for which bug-6 has no effect, and other numbers of iterations."""

    def draw(r: int, lengths: Sequence[int] = (5, 3)) -> Inputs:
        return make_users_and_gradient(rng, lengths, 5, 4, 3, r)

    return {
        "three iterations": {"2 users, r=3": draw(3)},
        "fewer iterations": {"r=1": draw(1), "r=2": draw(2, lengths=[5])},
        "more iterations": {"r=5": draw(5)},
    }


def explain_bilinear(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the product of each behaviour: the gradient of its vote times its component."""
    terms = explain_route_vjp_last(inputs, "d_bilinear", index)
    return EntryTerms("sum", tuple((text.partition(":")[0], x) for text, x in terms.numbers))


TASKS = {
    "zero-init": ExerciseTask(make_zero_init_cases, route_from_zero, explain_zero_init),
    "route": ExerciseTask(make_route_cases, lambda x: run_routing(x)[0], explain_capsule),
    "route-vjp-last": ExerciseTask(
        make_route_vjp_last_cases,
        route_vjp_last,
        explain_route_vjp_last,
        compute_last_iteration_loss,
    ),
    "route-vjp-full": ExerciseTask(
        make_route_vjp_full_cases, route_vjp_full, explain_route_vjp_full, compute_full_loss
    ),
    "bug-6": ExerciseTask(
        make_bilinear_cases,
        lambda x: route_vjp_last(x)[1],
        explain_bilinear,
        compute_last_iteration_loss,
    ),
}
