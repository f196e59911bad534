"""E1 to E3: starters fail, solutions pass, every known mistake is caught, named, and needed."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import GRADIENT, find
from mindref.study.exercises.expected import expected
from mindref.study.exercises.judge import apart
from tests.study.exercises import matrix
from tests.study.exercises.learner import WRITTEN, judged

each = pytest.mark.parametrize("name", WRITTEN)


@each
@pytest.mark.slow(every=3)
def test_a_starter_runs_and_fails(name: str) -> None:
    found = judged(find(name), find(name).starter)
    assert not found.passed
    assert all(verdict.failed != "runs" for verdict in found.verdicts)


@each
def test_a_solution_passes_and_is_never_named_as_a_mistake(name: str) -> None:
    found = judged(find(name), find(name).solution)
    assert [verdict.text for verdict in found.verdicts if verdict.failed] == []
    assert found.passed
    assert found.mistake is None


@each
@pytest.mark.slow(every=3)
def test_every_known_mistake_is_caught_by_shape_or_value(name: str) -> None:
    kills = matrix.kills(name)
    assert len(kills) >= 4
    assert len(kills) == len(find(name).mistakes), "two mistakes share a name"
    for mistake, row in kills.items():
        assert row, f"{mistake} passes"


@each
def test_a_known_mistake_is_a_file_that_can_be_read(name: str) -> None:
    for seen in matrix.reports(name).values():
        assert [answer.raised for answer in seen.answers if answer.stage] == []


@each
def test_a_known_mistake_is_named(name: str) -> None:
    assert {m: n for m, n in matrix.named(name).items() if m != n} == {}


@each
def test_no_group_of_cases_is_dead(name: str) -> None:
    killing = {group for row in matrix.kills(name).values() for group in row}
    assert set(matrix.groups(find(name))) == killing


@pytest.mark.skipif(len(WRITTEN) < len(NAMES), reason="not every exercise is written")
def test_there_are_a_hundred_known_mistakes_and_nine_in_ten_are_named() -> None:
    named = {(name, m): n for name in NAMES for m, n in matrix.named(name).items()}
    assert len(named) >= 100
    assert sum(m == n for (_, m), n in named.items()) >= 0.9 * len(named)


def test_every_exercise_is_written() -> None:
    assert WRITTEN == NAMES


def test_the_documentation_shows_the_kills_of_today() -> None:
    assert matrix.documented() == matrix.text(), (
        "run: python -m tests.study.exercises.matrix --write"
    )


@each
def test_the_closed_form_agrees_with_centred_differences(name: str) -> None:
    for want in expected(name):
        for closed, differences in zip(want.arrays, want.differences, strict=True):
            if differences is not None:
                assert np.max(apart(differences, closed), initial=0) < GRADIENT / 10, want.case.name


@each
def test_a_case_has_the_arguments_and_what_is_moved(name: str) -> None:
    exercise = find(name)
    moved = {part.of for part in exercise.gives} - {""}
    for want in expected(name):
        assert {x.name for x in exercise.takes} | moved == set(want.case.given)
        for x in exercise.takes:
            assert np.ndim(want.case.given[x.name]) == len(x.axes), (want.case.name, x.name)
        for part, array in zip(exercise.gives, want.arrays, strict=True):
            assert array.ndim == len(part.axes)
            assert array.dtype == np.float64


@each
def test_the_terms_of_an_entry_make_the_entry(name: str) -> None:
    exercise, rng = find(name), np.random.default_rng(0)
    for want in expected(name):
        for part, array in zip(exercise.gives, want.arrays, strict=True):
            everywhere = list(np.ndindex(array.shape))
            for at in rng.permutation(len(everywhere))[:10]:
                index = everywhere[at]
                terms = exercise.task.terms(want.case.given, part.name, index)
                scale = max(abs(value) for _, value in terms.numbers)
                assert abs(terms.value - array[index]) <= 1e-9 * max(scale, 1e-3), (part, index)
