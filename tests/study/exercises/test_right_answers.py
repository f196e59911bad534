"""E4: right answers pass, however they are written down in memory or in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.study.exercises.exercise import find
from mindref.study.exercises.expected import expected
from tests.study.exercises.learner import WRITTEN, judged

RIGHT = Path(__file__).parent / "right"
AS_ROUTE = ("bug-1", "bug-2", "bug-3", "bug-4")
"""Mended, they are the loop of `route`: the same other way to write it is right."""

each = pytest.mark.parametrize("name", WRITTEN)

WRAPPED = """

_right = {function}


def {function}(*given):
    rng = np.random.default_rng(0)
    answer = _right(*given)
    parts = answer if isinstance(answer, tuple) else (answer,)
    changed = tuple({change} for x in map(np.asarray, parts))
    return changed if isinstance(answer, tuple) else changed[0]
"""


def changed(name: str, change: str) -> str:
    """Return the solution with every part of its answer changed."""
    exercise = find(name)
    return exercise.solution + WRAPPED.format(function=exercise.function, change=change)


@each
def test_with_rounding_noise_of_1e_12(name: str) -> None:
    assert judged(find(name), changed(name, "x * (1 + 1e-12 * rng.uniform(-1, 1, x.shape))")).passed


@each
def test_in_fortran_order(name: str) -> None:
    assert judged(find(name), changed(name, "np.asfortranarray(x) if x.ndim else x")).passed


def read_only(x: Any) -> Any:
    """Return a copy in Fortran order that cannot be written to."""
    x = np.array(x, order="F")
    x.flags.writeable = False
    return x


@each
def test_from_inputs_that_are_read_only_and_in_fortran_order(name: str) -> None:
    assert judged(find(name), find(name).solution, copying=read_only).passed


@each
def test_written_with_loops_and_summed_in_another_order(name: str) -> None:
    """A file of `right` is another way to write the answer: loops, the last term first."""
    path = RIGHT / f"{'route' if name in AS_ROUTE else name}.py"
    found = judged(find(name), path.read_text(encoding="utf-8"))
    assert [verdict.text for verdict in found.verdicts if verdict.failed] == []
    assert found.passed


@each
def test_but_not_with_an_error_that_is_no_rounding(name: str) -> None:
    relative = 100 * find(name).tolerance
    large = judged(find(name), changed(name, f"x + {relative} * np.max(np.abs(x), initial=0)"))
    zero = [not np.any(part) for want in expected(name) for part in want.arrays]
    assert not large.passed or all(zero)
