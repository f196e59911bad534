"""Every kind of check fails for a number that is wrong: a mistake is planted for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mindref.study.invariants import RESIDUALS, TOLERANCE
from mindref.study.tracing import trace_pair
from tests.study.pairs import make_random_pair

TRACE = trace_pair(make_random_pair(3, length=5, pads=2))
Plant = Callable[[Any], None]


def put(place: Any, value: float) -> Plant:
    """Return what writes a value at a place."""

    def plant(array: Any) -> None:
        array[place] = value

    return plant


def first_two_swapped(array: Any) -> None:
    array[[0, 1]] = array[[1, 0]]


def another_item(array: Any) -> None:
    """Put the worst item in the place of the last of the list."""
    array[-1] = int(np.argmin(TRACE.values["best"]))


PLANTED: list[tuple[str, str, str, Plant]] = [
    ("ids", "between", "ids", put(0, 30)),
    ("ids", "between", "ids", put(0, -1)),
    ("history.embed", "sums", "history.weights", put((0, 0), 1.1)),
    ("interests.count", "any", "active", put(slice(None), 0)),
    ("routing.logits", "finite", "b[1]", put((0, 0), np.nan)),
    ("routing[2].weights", "sums", "w[2]", put((1, 1), 0.9)),
    ("routing[2].weights", "zero", "w[2]", put((6, 0), 1e-9)),
    ("routing[2].weights", "zero", "w[2]", put((0, 3), 1e-9)),
    ("routing[2].capsules", "shorter", "u[2]", put((0, 0), 1.001)),
    ("routing[2].capsules", "zero", "u[2]", put((3, 0), -1e-9)),
    ("layers[1].relu", "between", "x[1]", put((0, 0), -1e-9)),
    ("attention.weights", "sums", "h", put(0, 1.5)),
    ("loss.value", "between", "prob", put(2, 1.001)),
    ("loss.value", "between", "prob", put(2, np.nan)),
    ("update.S", "between", "S.second'", put((0, 0), -1e-9)),
    ("update.S", "near", "S.value'", put((2, 3), 9.0)),
    ("serve.scores", "most", "score", put((4, 0), 99.0)),
    ("serve.top", "ordered", "top", first_two_swapped),
    ("serve.top", "ordered", "top", another_item),
]


@pytest.mark.parametrize(("step", "kind", "tensor", "plant"), PLANTED)
def test_every_invariant_fails_for_a_wrong_number(
    step: str, kind: str, tensor: str, plant: Plant
) -> None:
    checks = [
        x.check
        for each in TRACE.steps
        for x in each.invariants
        if each.id == step and x.check["kind"] == kind
    ]
    wrong = np.array(TRACE.values[tensor])
    plant(wrong)
    values = {**TRACE.values, tensor: wrong}
    found = [RESIDUALS[kind](check, values) for check in checks]
    assert [RESIDUALS[kind](check, TRACE.values) <= TOLERANCE for check in checks] == [True] * len(
        checks
    )
    assert not all(residual <= TOLERANCE for residual in found)


def test_every_kind_of_invariant_is_tested() -> None:
    assert {kind for _, kind, _, _ in PLANTED} == set(RESIDUALS)
