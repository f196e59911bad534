"""What the tests of the exercises share: answers judged in this process, without a child."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from mindref.study.exercises import NAMES
from mindref.study.exercises.answers import run
from mindref.study.exercises.exercise import TASKS, Exercise, find, stem
from mindref.study.exercises.expected import job
from mindref.study.exercises.report import Report, report

WRITTEN = tuple(n for n in NAMES if resources.files(TASKS).joinpath(f"{stem(n)}.toml").is_file())


def judged(
    exercise: Exercise, code: str, mine: dict[str, str] | None = None, copying: Any = np.array
) -> Report:
    """Return the report of a file; what it needs are the solutions unless `mine` has others."""
    jobs = []
    for name in exercise.needs:
        other = find(name)
        text = (mine or {}).get(name, other.solution)
        jobs.append(job(other, text, f"{name}.py", other.needs)._replace(cases=()))
    jobs.append(job(exercise, code, f"{exercise.name}.py", exercise.needs))
    return report(exercise, run(jobs, copying=copying)[-1])
