"""Grade answers in the test process, without a worker."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from mindref.study.exercises import NAMES
from mindref.study.exercises.answers import run_jobs
from mindref.study.exercises.exercise import TASKS, Exercise, find_exercise, module_stem
from mindref.study.exercises.expected import make_job
from mindref.study.exercises.report import ExerciseReport, make_exercise_report

WRITTEN = tuple(
    n for n in NAMES if resources.files(TASKS).joinpath(f"{module_stem(n)}.toml").is_file()
)


def grade_file(exercise: Exercise, code: str, copy_array: Any = np.array) -> ExerciseReport:
    """Return the report of a file; needed exercises use their solutions."""
    jobs = []
    for name in exercise.needs:
        needed = find_exercise(name)
        job = make_job(needed, needed.solution, f"{name}.py", needed.needs)
        jobs.append(job._replace(cases=()))
    jobs.append(make_job(exercise, code, f"{exercise.name}.py", exercise.needs))
    return make_exercise_report(exercise, run_jobs(jobs, copy_array=copy_array)[-1])
