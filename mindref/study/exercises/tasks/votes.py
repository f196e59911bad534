"""aggregate-vjp and agreement-vjp: different sizes, equal sizes, masked or without a first use."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mindref.ops import softmax
from mindref.ops.votes import spread_to_votes, sum_votes, vote_agreement
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    inner_product,
    make_mask,
)


def make_aggregate_cases(rng: Generator) -> Cases:
    """Return weights of a softmax, votes, and gradients of the sums."""

    def draw(allowed: Bools, width: int) -> Inputs:
        users, behaviours, interests = allowed.shape
        return {
            "weights": softmax.forward(rng.normal(size=allowed.shape), allowed, axis=2)[0],
            "votes": rng.normal(size=(users, behaviours, width)),
            "d_sums": rng.normal(size=(users, interests, width)),
        }

    masked = make_mask([2, 4], 4)[:, :, None] & make_mask([2, 3], 3)[:, None, :]
    return {
        "uneven sizes": {
            "2 users, L=4 K=3 D=5": draw(np.ones((2, 4, 3), bool), 5),
            "1 user, L=3 K=2 D=4": draw(np.ones((1, 3, 2), bool), 4),
        },
        "L = K = D": {"3 users, L=3 K=3 D=3": draw(np.ones((3, 3, 3), bool), 3)},
        "masked": {"2 of 4 behaviours, 2 of 3 interests": draw(masked, 5)},
    }


def compute_aggregate_gradients(inputs: Inputs) -> tuple[Array, Array]:
    """Return the result of step 3 of `routing.backward`."""
    weights, votes, d_sums = inputs["weights"], inputs["votes"], inputs["d_sums"]
    return vote_agreement(votes, d_sums), spread_to_votes(weights, d_sums, votes)


def explain_aggregate_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the products of the sum."""
    b, i, last = index
    w, vote, g = inputs["weights"][b, i], inputs["votes"][b, i], inputs["d_sums"][b]
    if part == "d_weights":
        return EntryTerms.of_sum("g (S e) of component {}", g[last] * vote)
    return EntryTerms.of_sum("w g of interest {}", w * g[:, last])


def make_agreement_cases(rng: Generator) -> Cases:
    """Return votes, capsules, the gradients of their agreements, and those of a first use."""

    def draw(users: int, behaviours: int, interests: int, width: int) -> Inputs:
        return {
            "votes": rng.normal(size=(users, behaviours, width)),
            "capsules": rng.normal(size=(users, interests, width)) / np.sqrt(width),
            "d_agreement": rng.normal(size=(users, behaviours, interests)),
            "d_votes_so_far": rng.normal(size=(users, behaviours, width)),
        }

    second_use_only = {**draw(1, 3, 2, 4), "d_votes_so_far": np.zeros((1, 3, 4))}
    return {
        "uneven sizes": {
            "2 users, L=4 K=3 D=5": draw(2, 4, 3, 5),
            "1 user, L=3 K=2 D=4": draw(1, 3, 2, 4),
        },
        "L = K = D": {"3 users, L=3 K=3 D=3": draw(3, 3, 3, 3)},
        "nothing so far": {"the first use has no gradient": second_use_only},
    }


def compute_agreement_gradients(inputs: Inputs) -> tuple[Array, Array]:
    """Return the result of step 5 of `routing.backward`, plus the first use."""
    votes, g = inputs["votes"], inputs["d_agreement"]
    second_use = spread_to_votes(g, inputs["capsules"], votes)
    return inputs["d_votes_so_far"] + second_use, sum_votes(g, votes)


def compute_agreement_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_agreement, agree(votes, capsules)> plus a first use, linear in the votes."""
    agreement = vote_agreement(perturbed["votes"], perturbed["capsules"])
    first = inner_product(inputs["d_votes_so_far"], perturbed["votes"])
    return inner_product(inputs["d_agreement"], agreement) + first


def explain_agreement_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the products of the sum, and the gradient of the first use."""
    b, row, d = index
    g = inputs["d_agreement"][b]
    if part == "d_votes":
        products = g[row] * inputs["capsules"][b, :, d]
        first = ("d_votes_so_far", float(inputs["d_votes_so_far"][index]))
        return EntryTerms.of_sum("g u of interest {}", products, first)
    products = g[:, row] * inputs["votes"][b, :, d]
    return EntryTerms.of_sum("g (S e) of behaviour {}", products)


TASKS = {
    "aggregate-vjp": ExerciseTask(
        make_aggregate_cases,
        compute_aggregate_gradients,
        explain_aggregate_vjp,
        lambda x, y: inner_product(x["d_sums"], sum_votes(y["weights"], y["votes"])),
    ),
    "agreement-vjp": ExerciseTask(
        make_agreement_cases,
        compute_agreement_gradients,
        explain_agreement_vjp,
        compute_agreement_loss,
    ),
}
