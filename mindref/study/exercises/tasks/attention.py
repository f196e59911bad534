"""Attention: label-attention, label-attention-vjp and bug-5, with scores of both signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mindref.ops import label_attention
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    inner_product,
    make_mask,
)
from mindref.study.exercises.tasks.routing import run_routing

SIGNS = [[0.9, 0.2, -1.1, -0.6], [-2.1, 1.4, 0.5, -0.3]]
"""Scores of two users; the worst score of each has a larger magnitude than the best."""


def make_scored_interests(
    rng: Generator,
    scores: Sequence[Sequence[float]],
    width: int,
    power: float,
    active: Bools | None = None,
) -> Inputs:
    """Return interests whose inner products with the target are these scores."""
    target_scores = np.array(scores)
    target = rng.normal(size=(len(target_scores), width))
    interests = rng.normal(size=(*target_scores.shape, width))
    missing = target_scores - np.einsum("bkd,bd->bk", interests, target)
    interests += (missing / np.sum(target**2, axis=1)[:, None])[..., None] * target[:, None]
    active = np.ones(target_scores.shape, bool) if active is None else active
    return {"interests": interests, "target": target, "active": active, "power": float(power)}


def make_tied_interests(rng: Generator, scores: Sequence[Sequence[int]], width: int) -> Inputs:
    """Return interests of integers: their scores are exact in any order of summation."""
    target_scores = np.array(scores, float)
    target = rng.integers(-2, 3, size=(len(scores), width)).astype(float)
    target[:, 0] = 1
    interests = rng.integers(-2, 3, size=(*target_scores.shape, width)).astype(float)
    interests[..., 0] += target_scores - np.einsum("bkd,bd->bk", interests, target)
    active = np.ones(target_scores.shape, bool)
    return {"interests": interests, "target": target, "active": active, "power": np.inf}


def run_label_attention(inputs: Inputs) -> tuple[Array, label_attention.Saved]:
    """Return the result of `label_attention.forward`."""
    return label_attention.forward(
        inputs["interests"], inputs["target"], inputs["active"], power=inputs["power"]
    )


def make_attention_cases(rng: Generator) -> Cases:
    """Return every kind of power, equal and inactive interests, and scores with large powers."""
    tied = [[3, -1, 3, 1], [-2, 4, -5, 4]]
    negative_best = [[-1.5, -0.5, 0.8], [-0.4, -0.9, -1.2]]
    two_of_three = make_mask([2, 2], 3)
    large = [[9.2, -8.0, 9.1], [8.0, 9.0, 9.3]]
    return {
        "both signs": {
            f"2 users, K=4 D=3 p={p:g}": make_scored_interests(rng, SIGNS, 3, p)
            for p in (2.0, 0.5, 3.0)
        },
        "p = 0": {"2 users, p=0": make_scored_interests(rng, SIGNS, 3, 0.0)},
        "p infinite": {"2 users, p=inf": make_scored_interests(rng, SIGNS, 3, np.inf)},
        "inactive": {
            f"2 of 3 interests, p={p:g}": make_scored_interests(
                rng, negative_best, 5, p, two_of_three
            )
            for p in (2.0, np.inf)
        },
        "large scores": {"scores near 9, p=3": make_scored_interests(rng, large, 4, 3.0)},
        "equal scores": {"2 equal scores, p=inf": make_tied_interests(rng, tied, 3)},
    }


def attend_interests(inputs: Inputs) -> tuple[Array, ...]:
    """Return weights and user vector of `label_attention.forward`."""
    user, saved = run_label_attention(inputs)
    return saved.weights.out, user


def explain_attention(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the exponentials of the softmax, or the products of the weighted sum."""
    _, saved = run_label_attention(inputs)
    b, last = index
    count = np.count_nonzero(inputs["active"][b])
    if part == "user":
        products = saved.weights.out[b, :count] * inputs["interests"][b, :count, last]
        return EntryTerms.of_sum("h v of interest {}", products)
    if last >= count:
        return EntryTerms("sum", (("the interest is inactive", 0.0),))
    if np.isinf(inputs["power"]):
        weight = float(saved.weights.out[index])
        return EntryTerms("sum", (("one for the first of the largest scores, else zero", weight),))
    gaps = label_attention.gaps_below_largest(saved.scores, inputs["active"], inputs["power"])
    return EntryTerms.of_softmax("exp(a - max) of interest {}", gaps[b, :count], last)


def make_attention_vjp_cases(rng: Generator) -> Cases:
    """Return powers below, at and above one, both limits, and inactive interests."""
    three, two_of_three = [[0.9, -0.7, 1.3], [0.6, -1.2, -0.5]], make_mask([2, 2], 3)

    def draw(
        scores: Sequence[Sequence[float]], width: int, power: float, active: Bools | None = None
    ) -> Inputs:
        inputs = make_scored_interests(rng, scores, width, power, active)
        inputs["interests"] *= inputs["active"][..., None]
        shape = inputs["target"].shape
        d_user, d_target = rng.normal(size=shape), rng.normal(size=shape)
        return {**inputs, "d_user": d_user, "d_target_so_far": d_target}

    return {
        "p = 1": {"2 users, K=4 D=3 p=1": draw(SIGNS, 3, 1.0)},
        "both signs": {
            "p=2": draw(SIGNS, 3, 2.0),
            "p=3": draw([[0.9, 0.4, -1.1]], 4, 3.0),
            "p=0.5": draw(SIGNS, 3, 0.5),
        },
        "constant weights": {"p=0": draw(three, 4, 0.0), "p=inf": draw(three, 4, np.inf)},
        "inactive": {
            f"2 of 3 interests, p={p:g}": draw(three, 4, p, two_of_three) for p in (0.5, 2.0)
        },
    }


def compute_attention_gradients(inputs: Inputs) -> tuple[Array, ...]:
    """Return the result of `label_attention.backward`, plus the first use of the target."""
    saved = run_label_attention(inputs)[1]
    d_interests, d_query = label_attention.backward(inputs["d_user"], saved)
    return d_interests, inputs["d_target_so_far"] + d_query


def compute_attention_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_user, user> plus a first use of the target, which is linear."""
    first = inner_product(inputs["d_target_so_far"], perturbed["target"])
    return first + inner_product(inputs["d_user"], run_label_attention(perturbed)[0])


def explain_attention_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return both parts of an interest's gradient, or the terms of the target's gradient."""
    saved, power = run_label_attention(inputs)[1], inputs["power"]
    b, weights = index[0], saved.weights.out
    d_weights = saved.interests[b] @ inputs["d_user"][b]
    d_powers = weights[b] * (d_weights - weights[b] @ d_weights)
    d_scores = np.zeros_like(d_powers)
    if 0 < power < np.inf:
        d_scores = label_attention.signed_power_backward(d_powers, saved.scores[b], power)
    if part == "d_target":
        first = ("d_target_so_far", float(inputs["d_target_so_far"][index]))
        products = d_scores * saved.interests[b, :, index[1]]
        return EntryTerms.of_sum("d_s v of interest {}", products, first)
    _, k, d = index
    value = ("in the sum: h g", float(weights[b, k] * inputs["d_user"][b, d]))
    key = ("in the score: d_s e", float(d_scores[k] * inputs["target"][b, d]))
    return EntryTerms("sum", (value, key))


def make_user_vector_cases(rng: Generator) -> Cases:
    """Return users and targets; the scores of every user have both signs."""

    def draw(count: int, interests: int, power: float) -> Inputs:
        while True:
            inputs: Inputs = {
                "history": 2 * rng.normal(size=(count, 5, 4)),
                "bilinear": rng.normal(size=(4, 4)) / 2,
                "init_logits": 3 * rng.normal(size=(count, 5, interests)),
                "target": 2 * rng.normal(size=(count, 4)),
                "power": power,
            }
            scores = compute_user_vector(inputs)[1].scores
            if (scores.min(axis=1) < -0.3).all() and (scores.max(axis=1) > 0.3).all():
                return inputs

    return {
        "p = 1": {"2 users, p = 1": draw(2, 3, 1.0)},
        "even p": {"2 users, p = 2": draw(2, 3, 2.0), "p = 4": draw(1, 4, 4.0)},
        "odd p": {"2 users, p = 3": draw(2, 3, 3.0)},
        "fractional p": {"2 users, p = 0.5": draw(2, 3, 0.5)},
    }


def compute_user_vector(inputs: Inputs) -> tuple[Array, label_attention.Saved]:
    """Return the result of `routing.forward` and `label_attention.forward`."""
    mask = np.ones(inputs["history"].shape[:2], bool)
    capsules, _ = run_routing({**inputs, "mask": mask, "iterations": 3})
    active = np.ones(capsules.shape[:2], bool)
    return label_attention.forward(capsules, inputs["target"], active, power=inputs["power"])


def explain_user_vector(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return weight times component of every interest."""
    b, d = index
    saved = compute_user_vector(inputs)[1]
    return EntryTerms.of_sum("h u of interest {}", saved.weights.out[b] * saved.interests[b, :, d])


TASKS = {
    "label-attention": ExerciseTask(make_attention_cases, attend_interests, explain_attention),
    "label-attention-vjp": ExerciseTask(
        make_attention_vjp_cases,
        compute_attention_gradients,
        explain_attention_vjp,
        compute_attention_loss,
        {
            **dict.fromkeys(("p=2", "p=3", "p=0.5"), 1e-4),
            **dict.fromkeys(("2 of 3 interests, p=0.5", "2 of 3 interests, p=2"), 1e-4),
        },
    ),
    "bug-5": ExerciseTask(
        make_user_vector_cases, lambda x: compute_user_vector(x)[0], explain_user_vector
    ),
}
