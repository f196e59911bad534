"""train-with-yours: one, two and fifty steps; routing gradient "all" and "last"."""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.cases import (
    CaseGroup,
    EntryTerms,
    ExerciseCase,
    ExerciseTask,
    Inputs,
)
from mindref.study.exercises.training import compute_reference_losses

STEPS = 50


class TrainWithYoursTask(ExerciseTask):
    """The cases of train-with-yours."""

    def make_groups(self, rng: np.random.Generator) -> list[CaseGroup]:
        """Return the cases. The log and the initial parameters are built in, not drawn."""
        all_ = {"gradient": "all", "power": 2.0, "steps": STEPS}
        one, two = {**all_, "steps": 1}, {**all_, "steps": 2}
        last = {"gradient": "last", "power": float("inf"), "steps": STEPS}
        return [
            CaseGroup(
                "one step",
                "the first loss is before any gradient: an error here is in a forward",
                (ExerciseCase("gradient all, p=2, 1 step", one),),
            ),
            CaseGroup(
                "two steps",
                "the second loss is the first that depends on a gradient",
                (ExerciseCase("gradient all, p=2, 2 steps", two),),
            ),
            CaseGroup(
                "every iteration",
                "all paths of the routing, and attention weights that are not constant",
                (ExerciseCase("gradient all, p=2, 50 steps", all_),),
            ),
            CaseGroup(
                "last iteration",
                "the default settings of the library",
                (ExerciseCase("gradient last, p=inf, 50 steps", last),),
            ),
        ]

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the losses of the library's own operators."""
        return compute_reference_losses(inputs["gradient"], inputs["power"], inputs["steps"])[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the contribution of each user of the batch to the loss of a step."""
        settings = (inputs["gradient"], inputs["power"], inputs["steps"])
        losses = compute_reference_losses(*settings)[1][index]
        numbers = enumerate(losses / len(losses))
        return EntryTerms("sum", tuple((f"user {b}: loss / B", float(x)) for b, x in numbers))


TASK = TrainWithYoursTask()
