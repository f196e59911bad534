"""Coupling weights (B, L, K): routing-axis, mask and softmax-vjp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mindref.ops import softmax
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    inner_product,
    make_mask,
)


def make_axis_cases(rng: Generator) -> Cases:
    """Return different sizes, equal sizes, logits for which exp overflows, and one interest."""
    two_users = {"logits": rng.normal(size=(2, 5, 3))}
    one_user = {"logits": rng.normal(size=(1, 4, 2))}
    same_sizes = {"logits": rng.normal(size=(3, 3, 3))}
    large = {"logits": np.clip(800 * rng.normal(size=(2, 4, 3)), -1000, 1000)}
    return {
        "uneven sizes": {"2 users, L=5 K=3": two_users, "1 user, L=4 K=2": one_user},
        "L = K": {"3 users, L=3 K=3": same_sizes},
        "large logits": {"logits up to 1000": large},
        "K = 1": {"2 users, L=4 K=1": {"logits": rng.normal(size=(2, 4, 1))}},
    }


def make_mask_cases(rng: Generator) -> Cases:
    """Return inactive interests, padding, NaN in the padding, and a user without behaviours."""

    def draw(lengths: Sequence[int], counts: Sequence[int], size: tuple[int, int]) -> Inputs:
        logits = rng.normal(size=(len(lengths), *size))
        mask, active = make_mask(lengths, size[0]), make_mask(counts, size[1])
        return {"logits": logits, "mask": mask, "active": active}

    full, fewer, padded = (
        draw(lengths, counts, (5, 4))
        for lengths, counts in (([5, 5], [4, 4]), ([5, 5], [2, 3]), ([3, 5], [4, 4]))
    )
    garbage = draw([2, 4], [3, 2], (5, 3))
    garbage["logits"][~garbage["mask"]] = np.nan
    huge = draw([4, 3], [2, 1], (4, 3))
    huge["logits"][~np.broadcast_to(huge["active"][:, None], huge["logits"].shape)] = 1e4
    return {
        "fewer interests": {
            "nothing is masked": full,
            "2 and 3 of 4 interests": fewer,
            "huge logits of inactive interests": huge,
        },
        "padding": {"3 and 5 of 5 behaviours": padded},
        "garbage": {"NaN in the padding": garbage},
        "no behaviour": {"0 and 4 of 4 behaviours": draw([0, 4], [1, 3], (4, 3))},
    }


def weigh_behaviours(inputs: Inputs) -> Array:
    """Return the softmax over the interests, with the masks of the inputs."""
    logits = inputs["logits"]
    allowed = np.ones(logits.shape, bool)
    if "mask" in inputs:
        allowed = inputs["mask"][:, :, None] & inputs["active"][:, None, :]
    return softmax.forward(logits, allowed, axis=2)[0]


def explain_weight(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the exponentials of the active interests; zero for a masked entry."""
    b, i, k = index
    logits = inputs["logits"][b, i]
    if "mask" in inputs:
        if not inputs["mask"][b, i]:
            return EntryTerms("sum", (("zero: the position is padding", 0.0),))
        if not inputs["active"][b, k]:
            return EntryTerms("sum", (("zero: the interest is inactive", 0.0),))
        logits = logits[inputs["active"][b]]
    return EntryTerms.of_softmax("exp(b - max) of interest {}", logits - logits.max(), k)


def make_softmax_vjp_cases(rng: Generator) -> Cases:
    """Return different sizes, weights near zero and one, and masked positions."""

    def draw(allowed: Bools, scale: float) -> Inputs:
        logits = np.where(allowed, scale * rng.normal(size=allowed.shape), -np.inf)
        weights = softmax.forward(logits, allowed, axis=2)[0]
        return {"weights": weights, "d_weights": rng.normal(size=allowed.shape), "logits": logits}

    def all_allowed(*shape: int) -> Bools:
        return np.ones(shape, bool)

    masked = make_mask([2, 4], 4)[:, :, None] & make_mask([2, 3], 3)[:, None, :]
    return {
        "uneven sizes": {"2 users, L=4 K=3": draw(all_allowed(2, 4, 3), 1)},
        "sharp and even": {
            "logits near zero": draw(all_allowed(2, 3, 3), 0.01),
            "large logits": draw(all_allowed(2, 3, 3), 3),
        },
        "masked": {"2 of 4 behaviours, 2 of 3 interests": draw(masked, 1)},
        "K = 1": {"2 users, L=3 K=1": draw(all_allowed(2, 3, 1), 1)},
    }


def compute_weight_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_weights, softmax(logits)>; masked positions stay masked."""
    allowed = np.isfinite(inputs["logits"])
    return inner_product(
        inputs["d_weights"], softmax.forward(perturbed["logits"], allowed, axis=2)[0]
    )


def explain_softmax_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the gradient of each weight times the derivative with respect to this logit."""
    b, i, k = index
    w, g = inputs["weights"][b, i], inputs["d_weights"][b, i]
    products = [g[j] * w[j] * ((j == k) - w[k]) for j in range(len(w))]
    return EntryTerms.of_sum("g times dw/db of interest {}", products)


TASKS = {
    "routing-axis": ExerciseTask(make_axis_cases, weigh_behaviours, explain_weight),
    "mask": ExerciseTask(make_mask_cases, weigh_behaviours, explain_weight),
    "softmax-vjp": ExerciseTask(
        make_softmax_vjp_cases,
        lambda x: softmax.backward(x["d_weights"], softmax.Saved(x["weights"], 2)),
        explain_softmax_vjp,
        compute_weight_loss,
    ),
}
