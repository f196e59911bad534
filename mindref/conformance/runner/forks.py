"""Run calls in the child of a fork, and pass the answers to the parent.

Spec: specs/backend.md, R22. Reproduction scripts contain this code, so it must not import the
suite.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]

Answer = dict[str, AnyArray]
"""The results of a call: name, such as "out" or "d_history" -> NumPy array."""

Answers = list[Answer]
"""The answer to each of several calls."""


def answers_of_child(compute: Callable[[], Answers], seconds: float) -> Answers:
    """Return the answers that `compute` returns in the child of a fork.

    Raises RuntimeError if the child raises an error, ends early or takes longer than `seconds`.
    """
    reader, writer = os.pipe()
    child = fork_quietly()
    if child == 0:
        os.close(reader)
        write_and_exit(compute, writer)
    os.close(writer)
    try:
        content = read_within(reader, seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if not content:
        code = os.waitstatus_to_exitcode(status)
        raise RuntimeError(f"the child of the fork ended without an answer, with exit code {code}")
    return unpack_answers(content)


def fork_quietly() -> int:
    """Return `os.fork()`, without the warnings of Python and JAX about threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*fork", RuntimeWarning)
        return os.fork()


def write_and_exit(compute: Callable[[], Answers], writer: int) -> None:
    """In the child: write the answers, or the text of an error, to the pipe, and end at once.

    `os._exit` skips functions of the parent that Python runs at the end of a process.
    """
    try:
        try:
            content = pack_answers(compute())
        except BaseException as error:
            content = pack_answers([], f"{type(error).__name__}: {error}")
        with open(writer, "wb") as file:
            file.write(content)
    finally:
        os._exit(0)


def read_within(reader: int, seconds: float) -> bytes:
    """Return all bytes of a pipe. Raises RuntimeError if it is open for longer than `seconds`."""
    deadline, parts = time.monotonic() + seconds, []
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            parts.append(os.read(reader, 1 << 16))
            if not parts[-1]:
                return b"".join(parts)
    raise RuntimeError(f"the child of the fork gave no answer within {seconds:.0f} seconds")


def pack_answers(answers: Answers, error: str = "") -> bytes:
    """Return the bytes of a line of JSON, and of all arrays after it."""
    rows = [[[name, x.dtype.name, x.shape] for name, x in answer.items()] for answer in answers]
    line = json.dumps({"error": error, "answers": rows}) + "\n"
    arrays = [x.tobytes() for answer in answers for x in answer.values()]
    return b"".join([line.encode(), *arrays])


def unpack_answers(content: bytes) -> Answers:
    """Return the answers of `pack_answers`. Raises RuntimeError if they are an error."""
    line, _, data = content.partition(b"\n")
    header, answers, start = json.loads(line), [], 0
    if header["error"]:
        raise RuntimeError(f"in the child of the fork: {header['error']}")
    for rows in header["answers"]:
        answer: Answer = {}
        for name, dtype, shape in rows:
            end = start + int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
            answer[name] = np.frombuffer(data[start:end], dtype).reshape(shape)
            start = end
        answers.append(answer)
    return answers
