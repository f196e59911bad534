"""E1 and E7 by the child that a learner's file runs in: solutions pass, and soon."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from mindref.study.exercises import child
from mindref.study.exercises.answers import Answer, Job
from mindref.study.exercises.commands import check
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import find
from tests.study.exercises.learner import WRITTEN


def seconds() -> float:
    """Return the time on the processor so far, children included; other processes do not count."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in used)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.slow(every=3)
def test_a_solution_passes_within_3_seconds(desk: Desk, name: str) -> None:
    exercise, said = find(name), list[str]()
    for needed in exercise.needs:
        desk.create(find(needed))
        desk.file(needed).write_text(find(needed).solution, encoding="utf-8")
    desk.create(exercise)
    desk.file(name).write_text(exercise.solution, encoding="utf-8")
    began = seconds()
    assert check(name, desk, said.append) == 0, "\n".join(said)
    assert seconds() - began < 3
    assert desk.standing(name).passed


def test_jobs_and_answers_travel_without_a_change(tmp_path: Path) -> None:
    case = {"x": np.array([[0.1, np.nan]]), "mask": np.array([True]), "power": np.inf, "word": "a"}
    job = Job("n", "n.py", "def f(): pass", "f", 2, (case, {}), ("other",))
    child.write_jobs(tmp_path, [job])
    (back,) = child.read_jobs(tmp_path)
    assert back._replace(cases=()) == job._replace(cases=())
    assert list(back.cases[0]) == list(case)
    assert back.cases[0]["x"].tobytes() == case["x"].tobytes()  # type: ignore[attr-defined]
    assert (back.cases[0]["power"], back.cases[0]["word"]) == (np.inf, "a")
    answers = [Answer(arrays=(np.ones(2), np.array(1.5)), views=("x",)), Answer(raised="E: x")]
    child.write_answers(tmp_path, [answers])
    found = child.read_answers(tmp_path, [job])
    assert found is not None
    assert found[0][1] == answers[1]
    assert [x.tolist() for x in found[0][0].arrays] == [[1, 1], 1.5]
    assert found[0][0].views == ("x",)


def test_answers_of_another_number_are_none(tmp_path: Path) -> None:
    job = Job("n", "n.py", "", "f", 1, ({}, {}))
    child.write_answers(tmp_path, [[Answer(raised="E")]])
    assert child.read_answers(tmp_path, [job]) is None


def test_nothing_travels_as_pickle(tmp_path: Path) -> None:
    job = Job("n", "n.py", "", "f", 1, ({},))
    child.write_answers(tmp_path, [[Answer(arrays=(np.ones(1),))]])
    np.savez(tmp_path / "answers.npz", **{"0.0.0": np.array([print], dtype=object)})
    assert child.read_answers(tmp_path, [job]) is None
