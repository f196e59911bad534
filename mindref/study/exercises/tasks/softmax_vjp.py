"""softmax-vjp: different sizes, weights near zero and one, and masked positions."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    LossFunction,
    make_mask,
)


class SoftmaxVjpTask(ExerciseTask):
    """The cases of softmax-vjp."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        all_allowed = np.ones((2, 3, 3), bool)
        masked = make_mask([2, 4], 4)[:, :, None] & make_mask([2, 3], 3)[:, None, :]
        uneven = self.make_inputs(rng, np.ones((2, 4, 3), bool), 1)
        even_weights = self.make_inputs(rng, all_allowed, 0.01)
        sharp_weights = self.make_inputs(rng, all_allowed, 3)
        some_masked = self.make_inputs(rng, masked, 1)
        one_interest = self.make_inputs(rng, np.ones((1, 3, 1), bool), 1)
        return {
            "uneven sizes": {"2 users, L=4 K=3": uneven},
            "sharp and even": {"logits near zero": even_weights, "large logits": sharp_weights},
            "masked": {"2 of 4 behaviours, 2 of 3 interests": some_masked},
            "K = 1": {"L=3 K=1": one_interest},
        }

    def make_inputs(self, rng: np.random.Generator, allowed: Bools, scale: float) -> Inputs:
        """Return weights where allowed, a gradient, and the logits."""
        logits = np.where(allowed, scale * rng.normal(size=allowed.shape), -np.inf)
        weights = softmax.forward(logits, allowed, axis=2)[0]
        return {"weights": weights, "d_weights": rng.normal(size=allowed.shape), "logits": logits}

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the result of `softmax.backward`."""
        return softmax.backward(inputs["d_weights"], softmax.Saved(inputs["weights"], 2))

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_weights, softmax(logits)>; masked positions stay masked."""
        allowed = np.isfinite(inputs["logits"])

        def loss(perturbed: Inputs) -> float:
            weights = softmax.forward(perturbed["logits"], allowed, axis=2)[0]
            return float(np.sum(inputs["d_weights"] * weights))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the gradient of each weight times the derivative with respect to this logit."""
        b, i, k = index
        w, g = inputs["weights"][b, i], inputs["d_weights"][b, i]
        products = [g[j] * w[j] * ((j == k) - w[k]) for j in range(len(w))]
        return EntryTerms.of_sum("g times dw/db of interest {}", products)


TASK = SoftmaxVjpTask()
