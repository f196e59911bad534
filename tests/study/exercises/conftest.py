"""A workspace in a temporary folder, the command of a learner, and files of answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mindref.cli import mindref_group
from mindref.errors import MindrefError
from mindref.study.exercises.exercise import Exercise, find_exercise
from mindref.study.exercises.expected import make_job
from mindref.study.exercises.report import (
    ExerciseReport,
    add_first_wrong_iteration,
    make_exercise_report,
    make_iteration_job,
)
from mindref.study.exercises.worker import run_jobs
from mindref.study.exercises.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace; the command uses the same folder."""
    monkeypatch.chdir(tmp_path)
    return Workspace()


@pytest.fixture
def study(workspace):
    """Call the command and return its output and code, 2 for a usage error."""

    def call(*words, answer=None):
        result = CliRunner().invoke(
            mindref_group, ["study", *words], input=answer, standalone_mode=False
        )
        if isinstance(result.exception, MindrefError):
            return SimpleNamespace(exit_code=2, output=str(result.exception))
        if result.exception is not None:
            raise result.exception
        return SimpleNamespace(exit_code=result.return_value or 0, output=result.output)

    return call


def write_answer(workspace: Workspace, name: str, code: str | None = None) -> None:
    """Write a file of an exercise: the code, or the solution."""
    workspace.folder.mkdir(exist_ok=True)
    text = find_exercise(name).solution if code is None else code
    workspace.file_path(name).write_text(text, encoding="utf-8")


def grade_file(exercise: Exercise, code: str, copy_array: Any = np.array) -> ExerciseReport:
    """Return the report of a file; needed exercises use their solutions."""
    needed = [find_exercise(name) for name in exercise.needs]
    earlier = [make_job(x, x.solution)._replace(cases=()) for x in needed]
    answers = run_jobs([*earlier, make_job(exercise, code)], copy_array=copy_array)[-1]
    report = make_exercise_report(exercise, answers)
    job = make_iteration_job(report, code)
    if job is None:
        return report
    return add_first_wrong_iteration(report, run_jobs([*earlier, job])[-1])
