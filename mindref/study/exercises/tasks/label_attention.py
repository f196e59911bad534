"""label-attention: scores of both signs for every kind of power, and inactive interests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import label_attention
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, make_mask

SIGNS = [[0.9, 0.2, -1.1, -0.6], [-2.1, 1.4, 0.5, -0.3]]
"""Scores of two users; the worst score of each has a larger magnitude than the best."""


def make_scored_interests(
    rng: np.random.Generator,
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


def run_label_attention(inputs: Inputs) -> tuple[Array, label_attention.Saved]:
    """Return the result of `label_attention.forward`."""
    arrays = (inputs["interests"], inputs["target"], inputs["active"])
    return label_attention.forward(*arrays, power=inputs["power"])


class LabelAttentionTask(ExerciseTask):
    """The cases of label-attention."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
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
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return weights and user vector of `label_attention.forward`."""
        user, saved = run_label_attention(inputs)
        return saved.weights.out, user

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the exponentials of the softmax, or the products of the weighted sum."""
        _, saved = run_label_attention(inputs)
        b, last = index
        active = np.flatnonzero(inputs["active"][b])
        if part == "user":
            products = saved.weights.out[b, active] * inputs["interests"][b, active, last]
            return EntryTerms.of_sum("h v of interest {}", products, numbers=active)
        if last not in active:
            return EntryTerms("sum", (("the interest is inactive", 0.0),))
        if np.isinf(inputs["power"]):
            weight = float(saved.weights.out[index])
            return EntryTerms("sum", (("one for the largest score, else zero", weight),))
        gaps = label_attention.gaps_below_largest(saved.scores, inputs["active"], inputs["power"])
        exps = EntryTerms.name_numbers(
            "exp(a - max) of interest {}", np.exp(gaps[b, active]), active
        )
        return EntryTerms("quotient", (("exp(a - max)", float(np.exp(gaps[b, last]))), *exps))


TASK = LabelAttentionTask()
