"""A learner's code in a process of its own: python -m mindref.study.exercises.child FOLDER.

Jobs come and answers go as JSON and arrays of NumPy in the folder, never as pickle. Limits are set
here, before the first line of the learner's code, as a thread of the parent could not do it safely.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mindref.study.exercises.answers import Answer, Job, run

CPU_SECONDS = 4
MEMORY = 2 << 30
"""Bytes of addresses; NumPy itself takes a few hundred million of them."""

WRITTEN = 64 << 20
"""Bytes of the largest file that may be written."""


def limit() -> None:
    """Bound time, memory and files, where the system can (Windows cannot)."""
    try:
        import resource
    except ImportError:
        return
    for what, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, WRITTEN),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # a system that knows the limit and does not keep it
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
    """Return the jobs that the parent has written."""
    rows = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        for j, row in enumerate(rows):
            row["needs"] = tuple(row["needs"])
            row["cases"] = tuple(
                {n: arrays[f"{j}.{c}.{n}"] if x is None else x for n, x in case.items()}
                for c, case in enumerate(row["cases"])
            )
    return [Job(**row) for row in rows]


def write_answers(folder: Path, found: list[list[Answer]]) -> None:
    """Write answers for `read_answers`; the JSON last, whole or not at all."""
    arrays: dict[str, Any] = {}
    rows = []
    for j, answers in enumerate(found):
        for a, answer in enumerate(answers):
            arrays |= {f"{j}.{a}.{p}": x for p, x in enumerate(answer.arrays)}
        rows.append([{**x._asdict(), "arrays": len(x.arrays)} for x in answers])
    np.savez_compressed(folder / "answers.npz", **arrays)
    temporary = folder / "answers.tmp"
    temporary.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(temporary, folder / "answers.json")


def read_answers(folder: Path, jobs: list[Job]) -> list[list[Answer]] | None:
    """Return the answers of a child, None if there are none that can be read."""
    try:
        rows = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        found = []
        with np.load(folder / "answers.npz", allow_pickle=False) as arrays:
            for j, (row, job) in enumerate(zip(rows, jobs, strict=True)):
                answers = []
                for a, (x, _) in enumerate(zip(row, job.cases, strict=True)):
                    x["arrays"] = tuple(arrays[f"{j}.{a}.{p}"] for p in range(x["arrays"]))
                    x["modified"], x["views"] = tuple(x["modified"]), tuple(x["views"])
                    answers.append(Answer(**x))
                found.append(answers)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return found


def main() -> None:
    """Run the jobs of a folder."""
    folder = Path(sys.argv[1])
    jobs = read_jobs(folder)
    limit()
    write_answers(folder, run(jobs))
    sys.stdout.flush()
    os._exit(0)  # what a learner has left running, or registered for the end, is not waited for


if __name__ == "__main__":
    main()
