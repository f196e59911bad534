"""Run a learner's code on cases, and note what it did; nothing is judged here."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mindref.errors import STRANGE
from mindref.shapes import Array
from mindref.study.exercises.cases import Inputs

LARGEST = 10**6
"""Entries of an answer that are kept; none is meant to have a thousandth of them."""


class Job(NamedTuple):
    """A file and what its function is asked."""

    name: str  # of the exercise
    file: str  # for messages
    code: str
    function: str
    parts: int  # arrays in an answer
    cases: tuple[Inputs, ...]
    needs: tuple[str, ...] = ()  # jobs before it whose functions are the first argument


class Answer(NamedTuple):
    """What a function did with one case."""

    raised: str = ""  # the error, in one line
    line: int = 0  # of the learner's file, where it was raised
    stage: str = ""  # "import" or "missing": before the function was called
    structure: str = ""  # what came instead of the arrays that were asked for
    arrays: tuple[Array, ...] = ()
    modified: tuple[str, ...] = ()  # arguments that were changed
    views: tuple[str, ...] = ()  # arguments whose memory the answer is


def run(jobs: Sequence[Job], *, copying: Any = np.array) -> list[list[Answer]]:
    """Return the answers of every job, case by case. `copying` makes the arrays handed over."""
    functions: dict[str, Any] = {}
    found = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is not finite is reported as such
        for job in jobs:
            function, failure = load(job)
            functions[job.name] = function
            mine = {n.replace("-", "_"): functions.get(n) for n in job.needs}
            first = (SimpleNamespace(**mine),) if job.needs else ()
            if failure is not None:
                found.append([failure] * len(job.cases))
            else:
                found.append([ask(job, function, first, case, copying) for case in job.cases])
    return found


def load(job: Job) -> tuple[Any, Answer | None]:
    """Return the function of a job, or how its file has failed."""
    module = ModuleType("exercise")
    module.__file__ = job.file
    try:
        exec(compile(job.code, job.file, "exec"), module.__dict__)  # what we are here for
    except STRANGE as error:
        return None, Answer(raised=in_a_line(error), line=line_of(error, job), stage="import")
    function = module.__dict__.get(job.function)
    if not callable(function):
        return None, Answer(raised=f"no function {job.function}", stage="missing")
    return function, None


def ask(job: Job, function: Any, first: tuple[Any, ...], case: Inputs, copying: Any) -> Answer:
    """Return what a function does with a case; it is given copies."""
    given = {n: copying(x) if isinstance(x, np.ndarray) else x for n, x in case.items()}
    try:
        result = function(*first, *given.values())
    except STRANGE as error:
        return Answer(raised=in_a_line(error), line=line_of(error, job))
    arrays = {n: x for n, x in given.items() if isinstance(x, np.ndarray)}
    modified = tuple(n for n, x in arrays.items() if not same(x, case[n]))
    parts, structure = taken_apart(result, job.parts)
    views = tuple(n for n, x in arrays.items() if any(np.may_share_memory(x, p) for p in parts))
    return Answer("", 0, "", structure, tuple(map(small, parts)), modified, views)


def same(x: Array, y: Array) -> bool:
    """Return whether two arrays hold the same bits, whatever their order in memory."""
    return x.shape == y.shape and x.tobytes("C") == y.tobytes("C")


def taken_apart(result: Any, parts: int) -> tuple[list[Array], str]:
    """Return the arrays of a result, or what it is instead."""
    if parts == 1:
        if isinstance(result, tuple) and len(result) == 1:
            result = result[0]
        members = [result]
    elif isinstance(result, tuple | list) and len(result) == parts:
        members = list(result)
    else:
        return [], described(result)
    if not all(isinstance(x, np.ndarray | np.generic | float | int) for x in members):
        return [], described(result)
    arrays = [np.asarray(x) for x in members]
    if any(x.dtype.hasobject for x in arrays):
        return [], "an array of Python objects"
    return arrays, ""


def described(result: Any) -> str:
    """Return in words what a result is."""
    if result is None:
        return "None: is there a `return`?"
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    if isinstance(result, np.ndarray):
        return "one array"
    return f"a {type(result).__name__}"


def small(x: Array) -> Array:
    """Return a copy of an array, or one of its shape that takes no room if it is far too large."""
    return np.array(x) if x.size <= LARGEST else np.broadcast_to(np.zeros((), x.dtype), x.shape)


def in_a_line(error: BaseException) -> str:
    """Return an error in one line of bounded length."""
    try:
        text = " ".join(str(error).split())[:300]
    except STRANGE:  # the learner's own class, with a mistake of its own
        text = "no message"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def line_of(error: BaseException, job: Job) -> int:
    """Return the last line of the learner's file that an error came through; 0 for none."""
    if isinstance(error, SyntaxError) and error.filename == job.file:
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == job.file), 0)
