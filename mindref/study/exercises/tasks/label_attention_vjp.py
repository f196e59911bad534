"""label-attention-vjp: both signs, powers below and above one, both limits, inactive interests."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mindref.ops import label_attention
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    LossFunction,
    make_mask,
)
from mindref.study.exercises.tasks.label_attention import (
    SIGNS,
    make_scored_interests,
    run_label_attention,
)


class LabelAttentionVjpTask(ExerciseTask):
    """The cases of label-attention-vjp."""

    difference_steps: ClassVar = {
        "p=2": 1e-4,
        "p=3": 1e-4,
        "p=0.5": 1e-4,
        "2 of 3 interests, p=0.5": 1e-4,
        "2 of 3 interests, p=2": 1e-4,
    }

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three = [[0.9, -0.7, 1.3], [0.6, -1.2, -0.5]]
        two_of_three = make_mask([2, 2], 3)
        one = self.make_inputs(rng, SIGNS, 3, 1.0)
        signs_2, signs_3 = (
            self.make_inputs(rng, SIGNS, 3, 2.0),
            self.make_inputs(rng, [[0.9, 0.4, -1.1]], 4, 3.0),
        )
        signs_half = self.make_inputs(rng, SIGNS, 3, 0.5)
        zero, infinite = (self.make_inputs(rng, three, 4, p) for p in (0.0, np.inf))
        inactive_half, inactive_2 = (
            self.make_inputs(rng, three, 4, p, two_of_three) for p in (0.5, 2.0)
        )
        return {
            "p = 1": {"2 users, K=4 D=3 p=1": one},
            "both signs": {"p=2": signs_2, "p=3": signs_3, "p=0.5": signs_half},
            "constant weights": {"p=0": zero, "p=inf": infinite},
            "inactive": {
                "2 of 3 interests, p=0.5": inactive_half,
                "2 of 3 interests, p=2": inactive_2,
            },
        }

    def make_inputs(
        self,
        rng: np.random.Generator,
        scores: list[list[float]],
        width: int,
        power: float,
        active: Bools | None = None,
    ) -> Inputs:
        """Return interests with these scores, zero where inactive, and gradients."""
        inputs = make_scored_interests(rng, scores, width, power, active)
        inputs["interests"] *= inputs["active"][..., None]
        shape = inputs["target"].shape
        d_user, d_target = rng.normal(size=shape), rng.normal(size=shape)
        return {**inputs, "d_user": d_user, "d_target_so_far": d_target}

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of `label_attention.backward`, plus the first use of the target."""
        saved = run_label_attention(inputs)[1]
        d_interests, d_query = label_attention.backward(inputs["d_user"], saved)
        return d_interests, inputs["d_target_so_far"] + d_query

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_user, user> plus a first use of the target, which is linear."""

        def loss(perturbed: Inputs) -> float:
            first = np.sum(inputs["d_target_so_far"] * perturbed["target"])
            return float(first + np.sum(inputs["d_user"] * run_label_attention(perturbed)[0]))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
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


TASK = LabelAttentionVjpTask()
