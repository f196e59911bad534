"""Run a learner's functions on cases: in this process, or in the process that `sandbox` starts.

The process receives a folder as its argument. Jobs and answers are JSON and NumPy arrays in the
folder, never pickle. The process sets its limits before it reads the learner's code: a thread of
the parent cannot do it safely. Answers are recorded here, and graded by `grader`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mindref.errors import FOREIGN_ERRORS
from mindref.shapes import Array
from mindref.study.exercises.cases import Inputs

CPU_SECONDS = 4
MEMORY = 2 << 30
"""Bytes of address space; NumPy itself takes a few hundred million."""

WRITTEN = 64 << 20
"""Size of the largest file that the code may write, in bytes."""

ARRAY_KEY = "<array>"  # the key of an array in JSON; no argument can have this name

LARGEST = 10**6
"""Largest number of entries of a recorded array; right answers have less than a thousandth."""


class Job(NamedTuple):
    """A file, its function, and the cases to call the function with."""

    name: str  # of the exercise
    file: str  # for messages
    code: str
    function: str
    parts: int  # arrays in an answer
    cases: tuple[Inputs, ...]
    needs: tuple[str, ...] = ()  # earlier jobs whose functions are in the first argument


class CaseAnswer(NamedTuple):
    """The answer of a function to one case."""

    raised: str = ""  # the error, in one line
    line: int = 0  # of the learner's file, where it was raised
    stage: str = ""  # "import" or "missing": before the call of the function
    structure: str = ""  # the type of a result that has not the expected arrays
    arrays: tuple[Array, ...] = ()
    modified: tuple[str, ...] = ()  # arguments that the function changed
    views: tuple[str, ...] = ()  # arguments that share memory with the answer


def run_jobs(jobs: Sequence[Job], *, copy_array: Any = np.array) -> list[list[CaseAnswer]]:
    """Return the answers of every job, case by case. `copy_array` copies each argument."""
    functions: dict[str, Any] = {}
    answers = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the grader reports numbers that are not finite
        for job in jobs:
            function, failure = load_function(job)
            functions[job.name] = function
            needed = {n.replace("-", "_"): functions.get(n) for n in job.needs}
            first = (SimpleNamespace(**needed),) if job.needs else ()
            if failure is not None:
                answers.append([failure] * len(job.cases))
                continue
            answers.append(
                [call_function(job, function, first, case, copy_array) for case in job.cases]
            )
    return answers


def load_function(job: Job) -> tuple[Any, CaseAnswer | None]:
    """Return the function of a job, or the error of its file."""
    module = ModuleType("exercise")
    module.__file__ = job.file
    try:
        exec(compile(job.code, job.file, "exec"), module.__dict__)  # the learner's own file
    except FOREIGN_ERRORS as error:
        line = find_error_line(error, job)
        return None, CaseAnswer(raised=format_error(error), line=line, stage="import")
    function = module.__dict__.get(job.function)
    if not callable(function):
        return None, CaseAnswer(raised=f"no function {job.function}", stage="missing")
    return function, None


def call_function(
    job: Job, function: Any, first: tuple[Any, ...], case: Inputs, copy_array: Any
) -> CaseAnswer:
    """Return the answer of a function to a case. The function receives copies."""
    arguments = {n: copy_array(x) if isinstance(x, np.ndarray) else x for n, x in case.items()}
    try:
        result = function(*first, *arguments.values())
    except FOREIGN_ERRORS as error:
        return CaseAnswer(raised=format_error(error), line=find_error_line(error, job))
    arrays = {n: x for n, x in arguments.items() if isinstance(x, np.ndarray)}
    modified = tuple(n for n, x in arrays.items() if not same_bits(x, case[n]))
    parts, structure = split_result(result, job.parts)
    views = tuple(n for n, x in arrays.items() if any(np.may_share_memory(x, p) for p in parts))
    copies = tuple(map(copy_bounded, parts))
    return CaseAnswer("", 0, "", structure, copies, modified, views)


def same_bits(x: Array, y: Array) -> bool:
    """Return whether two arrays hold the same bits, in any memory order."""
    return x.shape == y.shape and x.tobytes("C") == y.tobytes("C")


def split_result(result: Any, parts: int) -> tuple[list[Array], str]:
    """Return the arrays of a result and "", or no arrays and the type of the result."""
    if parts == 1:
        if isinstance(result, tuple) and len(result) == 1:
            result = result[0]
        members = [result]
    elif isinstance(result, tuple | list) and len(result) == parts:
        members = list(result)
    else:
        return [], describe_result_type(result)
    if not all(isinstance(x, np.ndarray | np.generic | float | int) for x in members):
        return [], describe_result_type(result)
    arrays = [np.asarray(x) for x in members]
    if any(x.dtype.hasobject for x in arrays):
        return [], "an array of Python objects"
    return arrays, ""


def describe_result_type(result: Any) -> str:
    """Return the type of a result in words."""
    if result is None:
        return "None: is there a `return`?"
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    if isinstance(result, np.ndarray):
        return "one array"
    return f"a {type(result).__name__}"


def copy_bounded(x: Array) -> Array:
    """Return a copy of an array; if it is far too large, zeros of its shape without memory."""
    return np.array(x) if x.size <= LARGEST else np.broadcast_to(np.zeros((), x.dtype), x.shape)


def format_error(error: BaseException) -> str:
    """Return an error in one line of bounded length."""
    try:
        text = " ".join(str(error).split())[:300]
    except FOREIGN_ERRORS:  # __str__ of the learner's own exception raises
        text = "no message"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def find_error_line(error: BaseException, job: Job) -> int:
    """Return the last line of the learner's file in the traceback of an error; 0 for none."""
    if isinstance(error, SyntaxError) and error.filename == job.file:
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == job.file), 0)


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


def store_rows(folder: Path, stem: str, rows: Any) -> None:
    """Write JSON values and arrays for `load_rows`; the JSON file is written last, atomically."""
    arrays: list[Array] = []

    def name_array(x: Any) -> dict[str, int]:
        if not isinstance(x, np.ndarray):
            raise TypeError(f"a {type(x).__name__} is neither JSON nor an array")
        arrays.append(x)
        return {ARRAY_KEY: len(arrays) - 1}

    text = json.dumps(rows, default=name_array)
    np.savez_compressed(folder / f"{stem}.npz", *arrays)
    temporary = folder / f"{stem}.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / f"{stem}.json")


def load_rows(folder: Path, stem: str) -> Any:
    """Return the values that `store_rows` wrote; a NamedTuple is a list."""
    text = (folder / f"{stem}.json").read_text(encoding="utf-8")
    with np.load(folder / f"{stem}.npz", allow_pickle=False) as arrays:
        return json.loads(
            text, object_hook=lambda x: arrays[f"arr_{x[ARRAY_KEY]}"] if ARRAY_KEY in x else x
        )


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs that the parent wrote."""
    return [Job(*tuples_of(row)) for row in load_rows(folder, "jobs")]


def tuples_of(row: list[Any]) -> list[Any]:
    """Return the fields of a NamedTuple, of which every list is a tuple."""
    return [tuple(x) if isinstance(x, list) else x for x in row]


def read_answers(folder: Path, jobs: list[Job]) -> list[list[CaseAnswer]] | None:
    """Return the answers of a worker, or None if they cannot be read."""
    try:
        rows = load_rows(folder, "answers")
        answers = [[CaseAnswer(*tuples_of(x)) for x in row] for row in rows]
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    counts = [len(job.cases) for job in jobs]
    return answers if [len(row) for row in answers] == counts else None


def main(folder_name: str) -> None:
    """Run the jobs of a folder."""
    folder = Path(folder_name)
    jobs = read_jobs(folder)
    limit_resources()
    store_rows(folder, "answers", run_jobs(jobs))
    sys.stdout.flush()
    os._exit(0)  # do not wait for threads or exit handlers of the learner's code
