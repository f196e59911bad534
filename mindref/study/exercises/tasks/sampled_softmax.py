"""sampled-softmax and sampled-softmax-vjp: corrections of several sizes, hits, repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mindref.ops import sampled_softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs

OF_USER = ("user", "target", "target_ids", "target_log_expected")
LOG_COUNTS = ("target_log_expected", "negative_log_expected")
ORDER = ("user", "target", "negatives", "target_ids", "negative_ids", *LOG_COUNTS)


def make_loss_batch(
    rng: Generator, targets: Sequence[int], negatives: Sequence[int], width: int
) -> Inputs:
    """Return a batch of these items. Each item has one vector and one expected count."""
    table = rng.normal(size=(10, width))
    log_counts = rng.uniform(-2, 1, size=10)
    target_ids, negative_ids = np.array(targets), np.array(negatives)
    return {
        "user": rng.normal(size=(len(targets), width)),
        "target": table[target_ids],
        "negatives": table[negative_ids],
        "target_ids": target_ids,
        "negative_ids": negative_ids,
        "target_log_expected": log_counts[target_ids],
        "negative_log_expected": log_counts[negative_ids],
    }


def run_sampled_softmax(inputs: Inputs) -> tuple[Array, sampled_softmax.Saved]:
    """Return the result of `sampled_softmax.forward`."""
    return sampled_softmax.forward(*(inputs[name] for name in ORDER))


def make_sampled_softmax_cases(rng: Generator) -> Cases:
    """Return batches with hits, repeats, and logits for which exp overflows."""
    large = make_loss_batch(rng, [7, 2], [5, 4, 9], 4)
    large["user"] = large["user"] * 600
    return {
        "no hits": {
            "3 users, S=4 D=5": make_loss_batch(rng, [1, 2, 3], [4, 5, 6, 7], 5),
            "1 user, S=3 D=2": make_loss_batch(rng, [8], [0, 1, 2], 2),
        },
        "hits": {
            "a hit for user 0 and for user 2": make_loss_batch(rng, [4, 2, 6], [5, 4, 6, 7], 3),
            "two users with one target": make_loss_batch(rng, [4, 4], [3, 4, 5], 3),
        },
        "repeats": {"9 twice, 4 twice": make_loss_batch(rng, [4, 2], [9, 4, 9, 4, 5], 3)},
        "nothing but hits": {"S=2, both hits": make_loss_batch(rng, [4], [4, 4], 3)},
        "large logits": {"products in the hundreds": large},
    }


def compute_user_losses(inputs: Inputs) -> tuple[Array, ...]:
    """Return the losses of `sampled_softmax.forward` of each user, and of the batch."""
    losses = []
    for b in range(len(inputs["user"])):
        one_user = {name: inputs[name][b : b + 1] for name in OF_USER}
        losses.append(float(run_sampled_softmax({**inputs, **one_user})[0]))
    return np.array(losses), run_sampled_softmax(inputs)[0]


def explain_user_loss(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the two terms of a user's loss, or the contribution of each user to the mean."""
    losses = compute_user_losses(inputs)[0]
    if part == "loss":
        return EntryTerms.of_sum("user {}: loss / B", losses / len(losses))
    (b,) = index
    product = inputs["user"][b] @ inputs["target"][b]
    target_logit = float(product - inputs["target_log_expected"][b])
    logits = inputs["negatives"] @ inputs["user"][b] - inputs["negative_log_expected"]
    logits = logits[inputs["negative_ids"] != inputs["target_ids"][b]]
    total = float(np.logaddexp.reduce([target_logit, *logits]))
    return EntryTerms("sum", (("log(exp(y) + sum_s exp(z_s))", total), ("-y", -target_logit)))


def make_sampled_softmax_vjp_cases(rng: Generator) -> Cases:
    """Return batches and the gradients of their losses."""

    def draw(targets: Sequence[int], negatives: Sequence[int], width: int) -> Inputs:
        batch = make_loss_batch(rng, targets, negatives, width)
        return {**batch, "d_loss": float(rng.uniform(0.5, 2))}

    return {
        "no hits": {
            "3 users, S=4 D=5": draw([1, 2, 3], [4, 5, 6, 7], 5),
            "1 user, S=3 D=2": draw([8], [0, 1, 2], 2),
        },
        "hits": {
            "a hit for user 0 and for user 2": draw([4, 2, 6], [5, 4, 6, 7], 3),
            "S=2, both hits": draw([4], [4, 4], 3),
        },
        "repeats": {"9 twice": draw([4, 2], [9, 3, 9, 5], 3)},
    }


def explain_sampled_softmax_vjp(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the contribution of each inner product."""
    per_user = inputs["d_loss"] / len(inputs["user"])
    p = run_sampled_softmax(inputs)[1].p_negatives
    row, d = index
    user, target, negatives = (inputs[n][:, d] for n in ("user", "target", "negatives"))
    if part == "d_negatives":
        return EntryTerms.of_sum("user {}: p g/B q", p[:, row] * user * per_user)
    d_target_logit = -float(p[row].sum()) * per_user  # p_target - 1
    if part == "d_target":
        return EntryTerms("sum", (("(p - 1) g/B q", d_target_logit * float(user[row])),))
    of_target = ("target: (p - 1) g/B t", d_target_logit * float(target[row]))
    return EntryTerms.of_sum("negative {}: p g/B n", p[row] * negatives * per_user, of_target)


TASKS = {
    "sampled-softmax": ExerciseTask(
        make_sampled_softmax_cases, compute_user_losses, explain_user_loss
    ),
    "sampled-softmax-vjp": ExerciseTask(
        make_sampled_softmax_vjp_cases,
        lambda x: sampled_softmax.backward(x["d_loss"], run_sampled_softmax(x)[1]),
        explain_sampled_softmax_vjp,
        lambda x, perturbed: x["d_loss"] * float(run_sampled_softmax(perturbed)[0]),
    ),
}
