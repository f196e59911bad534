"""adam-step and train-with-yours: an optimiser step and a training."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mindref.ops import embedding
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs
from mindref.study.exercises.training import compute_reference_losses
from mindref.training import optimiser

ADAM_NUMBERS = {"learning_rate": 0.3, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-8}


def make_adam_cases(rng: Generator) -> Cases:
    """Return the first step, later steps, untouched rows, and a large epsilon."""

    def draw(steps: int, rows: list[int], *shape: int) -> Inputs:
        return {
            "table": rng.normal(size=shape),
            "first": rng.normal(size=shape),
            "second": rng.uniform(0.1, 2, size=shape),
            "steps": steps,
            "rows": np.array(rows),
            "values": rng.normal(size=(len(rows), shape[1])),
            **ADAM_NUMBERS,
        }

    fresh = {**draw(0, [1, 3], 4, 3), "first": np.zeros((4, 3)), "second": np.zeros((4, 3))}
    return {
        "the first step": {"2 of 4 rows, step 1": fresh},
        "later": {
            "2 of 5 rows, step 8": draw(7, [0, 3], 5, 2),
            "1 of 3 rows, step 1001": draw(1000, [1], 3, 4),
        },
        "every row": {"3 of 3 rows, step 3": draw(2, [0, 1, 2], 3, 4)},
        "large epsilon": {"epsilon 0.1, step 2": {**draw(1, [0, 2], 4, 3), "epsilon": 0.1}},
    }


def compute_adam_step(inputs: Inputs) -> tuple[Array, ...]:
    """Return the result of `optimiser.update` on copies."""
    table, first, second = (inputs[n].copy() for n in ("table", "first", "second"))
    optimiser.update(
        {"x": table},
        {"x": embedding.RowGradient(inputs["rows"], inputs["values"])},
        optimiser.State(inputs["steps"], {"x": first}, {"x": second}),
        **{n: inputs[n] for n in ADAM_NUMBERS},
    )
    return table, first, second


def explain_adam_step(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the old value and its change."""
    row, d = index
    old = float(inputs[part.removeprefix("new_")][index])
    if row not in inputs["rows"]:
        return EntryTerms("sum", (("the old value: the row is not touched", old),))
    g = float(inputs["values"][list(inputs["rows"]).index(row), d])
    t, beta1, beta2 = inputs["steps"] + 1, inputs["beta1"], inputs["beta2"]
    if part == "new_first":
        return EntryTerms("sum", (("beta1 m", beta1 * old), ("(1 - beta1) g", (1 - beta1) * g)))
    if part == "new_second":
        change = ("(1 - beta2) g^2", (1 - beta2) * g * g)
        return EntryTerms("sum", (("beta2 v", beta2 * old), change))
    _, first, second = compute_adam_step(inputs)
    m, v = float(first[index]) / (1 - beta1**t), float(second[index]) / (1 - beta2**t)
    step = -inputs["learning_rate"] * m / (np.sqrt(v) + inputs["epsilon"])
    return EntryTerms("sum", (("x", old), ("-eta m' / (sqrt(v') + epsilon)", float(step))))


def make_training_cases(rng: Generator) -> Cases:
    """Return the settings of four trainings. The log and the parameters are built in."""
    all_ = {"gradient": "all", "power": 2.0, "steps": 50}
    last = {"gradient": "last", "power": float("inf"), "steps": 50}
    return {
        "one step": {"gradient all, p=2, 1 step": {**all_, "steps": 1}},
        "two steps": {"gradient all, p=2, 2 steps": {**all_, "steps": 2}},
        "every iteration": {"gradient all, p=2, 50 steps": all_},
        "last iteration": {"gradient last, p=inf, 50 steps": last},
    }


def run_reference_training(inputs: Inputs) -> tuple[Array, Array]:
    """Return the losses of the reference (steps,), and the loss of each user (steps, B)."""
    return compute_reference_losses(inputs["gradient"], inputs["power"], inputs["steps"])


def explain_training(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the contribution of each user of the batch to the loss of a step."""
    _, user_losses = run_reference_training(inputs)
    losses = user_losses[index]
    return EntryTerms.of_sum("user {}: loss / B", losses / len(losses))


TASKS = {
    "adam-step": ExerciseTask(make_adam_cases, compute_adam_step, explain_adam_step),
    "train-with-yours": ExerciseTask(
        make_training_cases, lambda x: run_reference_training(x)[0], explain_training
    ),
}
