"""Write answers to a workspace; grade answers in the test process, without a worker."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.exercises.exercise import Exercise, find_exercise
from mindref.study.exercises.expected import make_job
from mindref.study.exercises.report import ExerciseReport, make_exercise_report
from mindref.study.exercises.worker import run_jobs
from mindref.study.exercises.workspace import Workspace


def write_answer(workspace: Workspace, name: str, code: str | None = None) -> None:
    """Write a file of an exercise: the code, or the solution."""
    workspace.folder.mkdir(exist_ok=True)
    text = find_exercise(name).solution if code is None else code
    workspace.file_path(name).write_text(text, encoding="utf-8")


def grade_file(exercise: Exercise, code: str, copy_array: Any = np.array) -> ExerciseReport:
    """Return the report of a file; needed exercises use their solutions."""
    needed = [find_exercise(name) for name in exercise.needs]
    jobs = [make_job(x, x.solution)._replace(cases=()) for x in needed]
    jobs.append(make_job(exercise, code))
    return make_exercise_report(exercise, run_jobs(jobs, copy_array=copy_array)[-1])
