"""train-with-yours: one, two and fifty steps; routing gradient "all" and "last"."""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs
from mindref.study.exercises.training import compute_reference_losses

STEPS = 50


class TrainWithYoursTask(ExerciseTask):
    """The cases of train-with-yours."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases. The log and the initial parameters are built in, not drawn."""
        all_ = {"gradient": "all", "power": 2.0, "steps": STEPS}
        one, two = {**all_, "steps": 1}, {**all_, "steps": 2}
        last = {"gradient": "last", "power": float("inf"), "steps": STEPS}
        return {
            "one step": {"gradient all, p=2, 1 step": one},
            "two steps": {"gradient all, p=2, 2 steps": two},
            "every iteration": {"gradient all, p=2, 50 steps": all_},
            "last iteration": {"gradient last, p=inf, 50 steps": last},
        }

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the losses of the library's own operators."""
        return compute_reference_losses(inputs["gradient"], inputs["power"], inputs["steps"])[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the contribution of each user of the batch to the loss of a step."""
        settings = (inputs["gradient"], inputs["power"], inputs["steps"])
        losses = compute_reference_losses(*settings)[1][index]
        return EntryTerms.of_sum("user {}: loss / B", losses / len(losses))


TASK = TrainWithYoursTask()
