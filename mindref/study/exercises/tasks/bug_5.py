"""bug-5: powers of one, even, odd and fractional, with scores of both signs."""

from __future__ import annotations

import numpy as np

from mindref.ops import label_attention, routing
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs


class UserVectorTask(ExerciseTask):
    """The cases of bug-5: routing and label-aware attention."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        one, two = self.make_inputs(rng, 2, 3, 1.0), self.make_inputs(rng, 2, 3, 2.0)
        four, three = self.make_inputs(rng, 1, 4, 4.0), self.make_inputs(rng, 2, 3, 3.0)
        half = self.make_inputs(rng, 2, 3, 0.5)
        return {
            "p = 1": {"2 users, p = 1": one},
            "even p": {"2 users, p = 2": two, "p = 4": four},
            "odd p": {"2 users, p = 3": three},
            "fractional p": {"2 users, p = 0.5": half},
        }

    def make_inputs(
        self, rng: np.random.Generator, count: int, interests: int, power: float
    ) -> Inputs:
        """Return users and targets; the scores of every user have both signs."""
        while True:
            inputs: Inputs = {
                "history": 2 * rng.normal(size=(count, 5, 4)),
                "bilinear": rng.normal(size=(4, 4)) / 2,
                "init_logits": 3 * rng.normal(size=(count, 5, interests)),
                "target": 2 * rng.normal(size=(count, 4)),
                "power": power,
            }
            scores = self.run_forward(inputs)[1].scores
            if (scores.min(axis=1) < -0.3).all() and (scores.max(axis=1) > 0.3).all():
                return inputs

    def run_forward(self, inputs: Inputs) -> tuple[Array, label_attention.Saved]:
        """Return the result of `routing.forward` and `label_attention.forward`."""
        history, logits = inputs["history"], inputs["init_logits"]
        active = np.ones((len(logits), logits.shape[2]), bool)
        mask = np.ones(history.shape[:2], bool)
        arrays = (history, mask, inputs["bilinear"], logits, active)
        capsules, _ = routing.forward(*arrays, iterations=3, gradient="all")
        return label_attention.forward(capsules, inputs["target"], active, power=inputs["power"])

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the user vector."""
        return self.run_forward(inputs)[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return weight times component of every interest."""
        b, d = index
        saved = self.run_forward(inputs)[1]
        products = saved.weights.out[b] * saved.interests[b, :, d]
        return EntryTerms.of_sum("h u of interest {}", products)


TASK = UserVectorTask()
