"""E1 and E7 in the worker process: solutions pass within 3 seconds."""

import resource

import numpy as np
import pytest

from mindref.study.exercises import NAMES, worker
from mindref.study.exercises.commands import check_exercise
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.worker import CaseAnswer, Job
from tests.study.exercises.learner import write_answer


def read_cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in used)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow(every=3)
def test_a_solution_passes_within_3_seconds(workspace, name):
    exercise, lines = find_exercise(name), list[str]()
    for written in (*exercise.needs, name):
        write_answer(workspace, written)
    started = read_cpu_seconds()
    assert check_exercise(name, workspace, lines.append) == 0, "\n".join(lines)
    assert read_cpu_seconds() - started < 3
    assert workspace.get_progress(name).passed


def test_written_jobs_and_answers_are_read_without_a_change(tmp_path):
    case = {"x": np.array([[0.1, np.nan]]), "mask": np.array([True]), "power": np.inf, "word": "a"}
    job = Job("n", "n.py", "def f(): pass", "f", 2, (case, {}), ("other",))
    worker.store_rows(tmp_path, "jobs", [job])
    (restored,) = worker.read_jobs(tmp_path)
    assert restored._replace(cases=()) == job._replace(cases=())
    assert list(restored.cases[0]) == list(case)
    assert restored.cases[0]["x"].tobytes() == case["x"].tobytes()  # type: ignore[attr-defined]
    assert (restored.cases[0]["power"], restored.cases[0]["word"]) == (np.inf, "a")
    answers = [
        CaseAnswer(arrays=(np.ones(2), np.array(1.5)), views=("x",)),
        CaseAnswer(raised="E: x"),
    ]
    worker.store_rows(tmp_path, "answers", [answers])
    (result,) = worker.read_answers(tmp_path, [job]) or [[]]
    assert result[1] == answers[1]
    assert [x.tolist() for x in result[0].arrays] == [[1, 1], 1.5]
    assert result[0].views == ("x",)


def test_a_wrong_number_of_answers_and_pickled_answers_are_rejected(tmp_path):
    job = Job("n", "n.py", "", "f", 1, ({}, {}))
    answers = [CaseAnswer(arrays=(np.ones(1),))]
    worker.store_rows(tmp_path, "answers", [answers])
    assert worker.read_answers(tmp_path, [job]) is None
    worker.store_rows(tmp_path, "answers", [answers * 2])
    assert worker.read_answers(tmp_path, [job]) is not None
    np.savez(tmp_path / "answers.npz", *np.full((2, 1), print, dtype=object))
    assert worker.read_answers(tmp_path, [job]) is None


def test_the_worker_imports_the_mindref_of_its_parent(workspace, tmp_path, monkeypatch):
    """Another mindref is earlier on the path than the installed one."""
    other = tmp_path / "other"
    (other / "mindref").mkdir(parents=True)
    (other / "mindref" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(other))
    lines = []
    write_answer(workspace, "squash")
    assert check_exercise("squash", workspace, lines.append) == 0, "\n".join(lines)
