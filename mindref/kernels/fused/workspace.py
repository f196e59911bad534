"""Buffers that are kept from step to step, and the threads that fill them.

Memory that is returned to the system and faulted in again costs up to a factor of two, so arrays
are kept under their names and grow when they must. Work is cut into blocks whose borders depend on
sizes alone, never on the number of threads, and each block writes to a place of its own: results
have the same bytes with any number of threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any
from weakref import finalize

import numpy as np

from mindref.errors import ConfigError, say
from mindref.kernels import LINE


class Workspace:
    """Named buffers, and threads that wait for work."""

    def __init__(self, threads: int | None = None) -> None:
        """Make an empty workspace; threads: as many as MINDREF_THREADS says, or one."""
        self.threads = threads or threads_wanted()
        self.buffers: dict[str, Any] = {}
        self.views: dict[str, Any] = {}  # the last one asked for of each: shapes mostly come again
        self.fitting: dict[str, Any] = {}  # shapes and types that were found to fit: checks.py
        self.others = [SimpleQueue[Any]() for _ in range(self.threads - 1)]
        for jobs in self.others:
            Thread(target=work_off, args=(jobs,), daemon=True).start()
        finalize(self, dismiss, self.others)

    def array(self, name: str, *shape: int, dtype: Any) -> Any:
        """Return an array of this shape, its content left over from before."""
        view = self.views.get(name)
        if view is None or view.shape != shape or view.dtype != dtype:
            size, kept = math.prod(shape), self.buffers.get(name)
            if kept is None or kept.size < size or kept.dtype != dtype:
                kept = self.buffers[name] = aligned(size + size // 4, dtype)
            view = self.views[name] = kept[:size].reshape(shape)
        return view

    def each(self, work: Callable[[Any], None], blocks: Iterable[Any]) -> None:
        """Do the work for each block, on all threads; what one raises is raised here.

        Every thread takes the next block until none is left, the calling one too.
        """
        left = iter(list(blocks))  # the next of a list is taken by one thread alone

        def take() -> None:
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # a thread has its own settings
                    for block in left:
                        work(block)
            except BaseException:
                for _ in left:  # nobody begins another block
                    pass
                raise

        done: SimpleQueue[BaseException | None] = SimpleQueue()
        errors: list[BaseException | None] = []
        started = 0
        try:
            for jobs in self.others:
                jobs.put((take, done))
                started += 1
            take()
        finally:
            errors = await_all(done, started, left)
        for error in errors:
            if error is not None:
                raise error


def aligned(size: int, dtype: Any) -> Any:
    """Return zeros (size,) that begin with a line of memory; NumPy's own begin anywhere."""
    count = size * np.dtype(dtype).itemsize
    room = np.zeros(count + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + count].view(dtype)


def aligned_zeros(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return zeros of the shapes and types of arrays, each of which begins with a line."""
    return {name: aligned(x.size, x.dtype).reshape(x.shape) for name, x in arrays.items()}


def aligned_copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of arrays, each of which begins with a line."""
    found = aligned_zeros(arrays)
    for name, x in arrays.items():
        found[name][...] = x
    return found


def await_all(
    done: SimpleQueue[BaseException | None], count: int, left: Iterator[Any]
) -> list[BaseException | None]:
    """Return what so many threads say when they are done; Ctrl-C is heard when they are.

    They write to buffers that the next caller will have, so nobody leaves while one is at work.
    """
    said: list[BaseException | None] = []
    while len(said) < count:
        try:
            said.append(done.get())
        except KeyboardInterrupt as stop:
            for _ in left:
                pass
            said, count = [*said, stop], count + 1
    return said


def work_off(jobs: SimpleQueue[Any]) -> None:
    """Do one job after the other until there is none; half the cost of an executor's futures."""
    while (order := jobs.get()) is not None:
        job, done = order
        try:
            job()
            done.put(None)
        except BaseException as error:
            done.put(error)
        del order, job  # they hold the buffers of a step


def dismiss(others: list[SimpleQueue[Any]]) -> None:
    """Let the threads of a workspace end that nobody has any more."""
    for jobs in others:
        jobs.put(None)


def threads_wanted() -> int:
    """Return the number that MINDREF_THREADS says, or one. Raises ConfigError for anything else."""
    word = os.environ.get("MINDREF_THREADS", "1")
    if not word.isdecimal() or int(word) < 1:
        raise ConfigError(say("MINDREF_THREADS", "a number of threads from 1", repr(word)))
    return int(word)


def slices(size: int, length: int) -> Iterator[slice]:
    """Yield slices of `length`, the last one shorter, that cover `size` places."""
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
