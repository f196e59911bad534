"""Buffers that are kept from step to step, and the threads that fill them (team.py).

Memory that is returned to the system and faulted in again costs up to a factor of two, so arrays
are kept under their names and grow when they must. Work is cut into blocks whose borders depend on
sizes alone, never on the number of threads, and each block writes to a place of its own: results
have the same bytes with any number of threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any
from weakref import finalize

import numpy as np

from mindref.errors import ConfigError, say
from mindref.kernels import LINE
from mindref.kernels.fused.team import Phase, Task, Team


class Workspace:
    """Named buffers, and threads that wait for work."""

    def __init__(self, threads: int | None = None) -> None:
        """Make an empty workspace; threads: as many as MINDREF_THREADS says, or one."""
        self.threads = threads or threads_wanted()
        self.buffers: dict[str, Any] = {}
        self.views: dict[str, Any] = {}  # the last one asked for of each: shapes mostly come again
        self.made: dict[str, tuple[Any, Any]] = {}  # by a name: a key, and what was made for it
        self.others = [SimpleQueue[Any]() for _ in range(self.threads - 1)]
        for jobs in self.others:
            Thread(target=work_off, args=(jobs,), daemon=True).start()
        self.team: Any = None  # of the call under way
        finalize(self, dismiss, self.others)

    def array(self, name: str, *shape: int, dtype: Any) -> Any:
        """Return an array of this shape, its content left over from before."""
        view = self.views.get(name)
        if view is None or view.shape != shape or view.dtype != dtype:
            size, kept = math.prod(shape), self.buffers.get(name)
            if kept is None or kept.size < size or kept.dtype != dtype:
                kept = self.buffers[name] = aligned(size + size // 4, dtype)
                self.made = {}  # perhaps with views of the buffer that was there
            view = self.views[name] = kept[:size].reshape(shape)
        return view

    def once(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made under this name, unless it was for another key: then make it."""
        kept = self.made.get(name)
        if kept is None or kept[0] != key:
            kept = self.made[name] = key, make()
        return kept[1]

    def each(self, work: Callable[[Any], None], blocks: Iterable[Any]) -> None:
        """Do the work for each block, on all threads; what one raises is raised here."""
        self.run([lambda: [partial(work, block) for block in blocks]])

    def run(self, phases: Iterable[Phase]) -> None:
        """Do the tasks of one phase after the other, on all threads, the calling one too.

        What one raises is raised here.
        """
        team = Team(iter(phases), self.threads)
        try:
            self.team = team
            for jobs in self.others:
                jobs.put(team.help)
            team.work()
        finally:
            try:
                team.join()
            except KeyboardInterrupt:  # it may have come before there was anybody to catch it
                team.join()
                raise
            finally:
                self.team = None  # which holds what the tasks hold

    def leave(self, tasks: Iterable[Task]) -> None:
        """Add tasks to those under way, for any thread; only such a task may do so."""
        self.team.leave(tasks)


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


def work_off(jobs: SimpleQueue[Any]) -> None:
    """Do one job after the other until there is none; half the cost of an executor's futures."""
    while (job := jobs.get()) is not None:
        job()
        del job  # it holds the buffers of a step


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
