"""The process that runs a learner's code; `sandbox` starts it with a folder as its argument.

Jobs and answers are JSON and NumPy arrays in the folder, never pickle. The process sets the
limits itself before it reads the learner's code: a thread of the parent cannot do it safely.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mindref.study.exercises.answers import CaseAnswer, Job, run_jobs

CPU_SECONDS = 4
MEMORY = 2 << 30
"""Bytes of address space; NumPy itself takes a few hundred million."""

WRITTEN = 64 << 20
"""Size of the largest file that the code may write, in bytes."""


def limit_resources() -> None:
    """Limit time, memory and files, if the system supports it (Windows does not)."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, WRITTEN),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # a system that does not enforce this limit
            continue


def write_jobs(folder: Path, jobs: list[Job]) -> None:
    """Write jobs for `read_jobs`."""
    arrays: dict[str, Any] = {}
    rows = []
    for j, job in enumerate(jobs):
        cases = []
        for c, case in enumerate(job.cases):
            row: dict[str, Any] = {}
            for name, x in case.items():
                row[name] = None if isinstance(x, np.ndarray) else x
                if isinstance(x, np.ndarray):
                    arrays[f"{j}.{c}.{name}"] = x
            cases.append(row)
        rows.append({**job._asdict(), "cases": cases})
    (folder / "jobs.json").write_text(json.dumps(rows), encoding="utf-8")
    np.savez(folder / "inputs.npz", **arrays)


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs that the parent wrote."""
    rows = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        for j, row in enumerate(rows):
            row["needs"] = tuple(row["needs"])
            row["cases"] = tuple(
                {n: arrays[f"{j}.{c}.{n}"] if x is None else x for n, x in case.items()}
                for c, case in enumerate(row["cases"])
            )
    return [Job(**row) for row in rows]


def write_answers(folder: Path, answers: list[list[CaseAnswer]]) -> None:
    """Write answers for `read_answers`; the JSON file is written last, and atomically."""
    arrays: dict[str, Any] = {}
    rows = []
    for j, job_answers in enumerate(answers):
        for a, answer in enumerate(job_answers):
            arrays |= {f"{j}.{a}.{p}": x for p, x in enumerate(answer.arrays)}
        rows.append([{**x._asdict(), "arrays": len(x.arrays)} for x in job_answers])
    np.savez_compressed(folder / "answers.npz", **arrays)
    temporary = folder / "answers.tmp"
    temporary.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(temporary, folder / "answers.json")


def read_answers(folder: Path, jobs: list[Job]) -> list[list[CaseAnswer]] | None:
    """Return the answers of a worker, or None if they cannot be read."""
    try:
        rows = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        answers = []
        with np.load(folder / "answers.npz", allow_pickle=False) as arrays:
            for j, (row, job) in enumerate(zip(rows, jobs, strict=True)):
                job_answers = []
                for a, (x, _) in enumerate(zip(row, job.cases, strict=True)):
                    x["arrays"] = tuple(arrays[f"{j}.{a}.{p}"] for p in range(x["arrays"]))
                    x["modified"], x["views"] = tuple(x["modified"]), tuple(x["views"])
                    job_answers.append(CaseAnswer(**x))
                answers.append(job_answers)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return answers


def main(folder_name: str) -> None:
    """Run the jobs of a folder."""
    folder = Path(folder_name)
    jobs = read_jobs(folder)
    limit_resources()
    write_answers(folder, run_jobs(jobs))
    sys.stdout.flush()
    os._exit(0)  # do not wait for threads or exit handlers of the learner's code
