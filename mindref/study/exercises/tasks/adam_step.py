"""adam-step: the first step, later ones, rows that are left alone, a large epsilon."""

from __future__ import annotations

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms
from mindref.training import optimiser


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    fresh = case(rng, 0, [1, 3], 4, 3)
    fresh["first"], fresh["second"] = np.zeros((4, 3)), np.zeros((4, 3))
    return [
        Group(
            "the first step",
            "moments of zero, where the correction is largest",
            (Case("2 of 4 rows, step 1", fresh),),
        ),
        Group(
            "later",
            "moments that are there, in touched rows and in others",
            (
                Case("2 of 5 rows, step 8", case(rng, 7, [0, 3], 5, 2)),
                Case("1 of 3 rows, step 1001", case(rng, 1000, [1], 3, 4)),
            ),
        ),
        Group(
            "every row",
            "nothing is left alone: what is wrong is the step itself",
            (Case("3 of 3 rows, step 3", case(rng, 2, [0, 1, 2], 3, 4)),),
        ),
        Group(
            "large epsilon",
            "where it stands",
            (Case("epsilon 0.1, step 2", {**case(rng, 1, [0, 2], 4, 3), "epsilon": 0.1}),),
        ),
    ]


def case(rng: np.random.Generator, steps: int, rows: list[int], count: int, width: int) -> Inputs:
    """Return a table in the middle of a training, and gradients of some rows."""
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


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return what `optimiser.update` makes of copies."""
    table, first, second = (given[n].copy() for n in ("table", "first", "second"))
    optimiser.update(
        {"x": table},
        {"x": RowGradient(given["rows"], given["values"])},
        optimiser.State(given["steps"], {"x": first}, {"x": second}),
        **{n: given[n] for n in ("learning_rate", "beta1", "beta2", "epsilon")},
    )
    return table, first, second


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the old value, and what is added to it."""
    new = reference(given)
    row, d = index
    old = {"new_table": "table", "new_first": "first", "new_second": "second"}[part]
    before = float(given[old][index])
    if row not in given["rows"]:
        return Terms("sum", (("as before: the row is not touched", before),))
    g, t = float(given["values"][list(given["rows"]).index(row), d]), given["steps"] + 1
    beta1, beta2 = given["beta1"], given["beta2"]
    if part == "new_first":
        return Terms("sum", (("beta1 m", beta1 * before), ("(1 - beta1) g", (1 - beta1) * g)))
    if part == "new_second":
        return Terms("sum", (("beta2 v", beta2 * before), ("(1 - beta2) g^2", (1 - beta2) * g * g)))
    m, v = float(new[1][index]) / (1 - beta1**t), float(new[2][index]) / (1 - beta2**t)
    step = -given["learning_rate"] * m / (np.sqrt(v) + given["epsilon"])
    return Terms("sum", (("x", before), ("-eta m' / (sqrt(v') + epsilon)", float(step))))
