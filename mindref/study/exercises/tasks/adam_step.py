"""adam-step: the first step, later steps, untouched rows, a large epsilon."""

from __future__ import annotations

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs
from mindref.training import optimiser


class AdamStepTask(ExerciseTask):
    """The cases of adam-step."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        fresh = self.make_inputs(rng, 0, [1, 3], 4, 3)
        fresh["first"], fresh["second"] = np.zeros((4, 3)), np.zeros((4, 3))
        later = self.make_inputs(rng, 7, [0, 3], 5, 2)
        much_later = self.make_inputs(rng, 1000, [1], 3, 4)
        every_row = self.make_inputs(rng, 2, [0, 1, 2], 3, 4)
        epsilon = {**self.make_inputs(rng, 1, [0, 2], 4, 3), "epsilon": 0.1}
        return {
            "the first step": {"2 of 4 rows, step 1": fresh},
            "later": {"2 of 5 rows, step 8": later, "1 of 3 rows, step 1001": much_later},
            "every row": {"3 of 3 rows, step 3": every_row},
            "large epsilon": {"epsilon 0.1, step 2": epsilon},
        }

    def make_inputs(
        self, rng: np.random.Generator, steps: int, rows: list[int], count: int, width: int
    ) -> Inputs:
        """Return a table during a training, and gradients of some rows."""
        return {
            "table": rng.normal(size=(count, width)),
            "first": rng.normal(size=(count, width)),
            "second": rng.uniform(0.1, 2, size=(count, width)),
            "steps": steps,
            "rows": np.array(rows),
            "values": rng.normal(size=(len(rows), width)),
            "learning_rate": 0.3,
            "beta1": 0.8,
            "beta2": 0.95,
            "epsilon": 1e-8,
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of `optimiser.adam_step` on copies."""
        table, first, second = (inputs[n].copy() for n in ("table", "first", "second"))
        optimiser.update(
            {"x": table},
            {"x": RowGradient(inputs["rows"], inputs["values"])},
            optimiser.State(inputs["steps"], {"x": first}, {"x": second}),
            **{n: inputs[n] for n in ("learning_rate", "beta1", "beta2", "epsilon")},
        )
        return table, first, second

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the old value and its change."""
        answer = self.compute_answer(inputs)
        row, d = index
        argument = {"new_table": "table", "new_first": "first", "new_second": "second"}[part]
        old = float(inputs[argument][index])
        if row not in inputs["rows"]:
            return EntryTerms("sum", (("the old value: the row is not touched", old),))
        g = float(inputs["values"][list(inputs["rows"]).index(row), d])
        t, beta1, beta2 = inputs["steps"] + 1, inputs["beta1"], inputs["beta2"]
        if part == "new_first":
            return EntryTerms("sum", (("beta1 m", beta1 * old), ("(1 - beta1) g", (1 - beta1) * g)))
        if part == "new_second":
            change = ("(1 - beta2) g^2", (1 - beta2) * g * g)
            return EntryTerms("sum", (("beta2 v", beta2 * old), change))
        m, v = float(answer[1][index]) / (1 - beta1**t), float(answer[2][index]) / (1 - beta2**t)
        step = -inputs["learning_rate"] * m / (np.sqrt(v) + inputs["epsilon"])
        change = ("-eta m' / (sqrt(v') + epsilon)", float(step))
        return EntryTerms("sum", (("x", old), change))


TASK = AdamStepTask()
