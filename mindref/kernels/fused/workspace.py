"""Buffers that are reused from step to step, and the threads that fill them (thread_pool.py).

Memory that is returned to the system and faulted in again costs up to a factor of two. Arrays are
therefore kept under a name, and grow when necessary. Work is cut into blocks. Block boundaries
depend only on array sizes, not on the number of threads. No two blocks write to the same memory.
Results therefore have the same bytes with any number of threads.
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
from mindref.kernels import CACHE_LINE
from mindref.kernels.fused.thread_pool import Phase, Task, ThreadPool


class KernelWorkspace:
    """Named buffers, and threads that wait for jobs."""

    def __init__(self, threads: int | None = None) -> None:
        """Create an empty workspace; threads: by default MINDREF_THREADS, or one."""
        self.threads = threads or configured_threads()
        self.buffers: dict[str, Any] = {}
        self.views: dict[str, Any] = {}  # last view of each buffer, reused for an equal shape
        self.results: dict[str, tuple[Any, Any]] = {}  # of `cached`: name -> key and result
        self.queues = [SimpleQueue[Any]() for _ in range(self.threads - 1)]
        for jobs in self.queues:
            Thread(target=run_queued_jobs, args=(jobs,), daemon=True).start()
        self.pool: Any = None  # the pool of the current call, or None
        finalize(self, stop_threads, self.queues)

    def array(self, name: str, *shape: int, dtype: Any) -> Any:
        """Return an array of this shape with arbitrary content."""
        view = self.views.get(name)
        if view is None or view.shape != shape or view.dtype != dtype:
            size, buffer = math.prod(shape), self.buffers.get(name)
            if buffer is None or buffer.size < size or buffer.dtype != dtype:
                buffer = self.buffers[name] = aligned_array(size + size // 4, dtype)
                self.results = {}  # results may hold views of the replaced buffer
            view = self.views[name] = buffer[:size].reshape(shape)
        return view

    def cached(self, name: str, key: Any, create: Callable[[], Any]) -> Any:
        """Return the result stored under a name with this key; create and store it if missing."""
        entry = self.results.get(name)
        if entry is None or entry[0] != key:
            entry = self.results[name] = key, create()
        return entry[1]

    def run_blocks(self, function: Callable[[Any], None], blocks: Iterable[Any]) -> None:
        """Call the function for each block, on all threads. Raises the first error of a call."""
        self.run_phases([lambda: [partial(function, block) for block in blocks]])

    def run_phases(self, phases: Iterable[Phase]) -> None:
        """Run the tasks of one phase after another, on all threads and the calling thread.

        Raises the first error of a task.
        """
        pool = ThreadPool(iter(phases), self.threads)
        try:
            self.pool = pool
            for jobs in self.queues:
                jobs.put(pool.worker)
            pool.run_tasks()
        finally:
            try:
                pool.join()
            except KeyboardInterrupt:  # Ctrl-C may arrive outside the `try` in `join`
                pool.join()
                raise
            finally:
                self.pool = None  # it references the objects of the tasks

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase, for any thread; only a running task may call this."""
        self.pool.submit(tasks)


def aligned_array(size: int, dtype: Any) -> Any:
    """Return zeros (size,) that start at a cache line; NumPy's arrays start anywhere."""
    num_bytes = size * np.dtype(dtype).itemsize
    memory = np.zeros(num_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + num_bytes].view(dtype)


def aligned_zeros(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return zeros of the shapes and dtypes of arrays; each array starts at a cache line."""
    return {name: aligned_array(x.size, x.dtype).reshape(x.shape) for name, x in arrays.items()}


def aligned_copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of arrays; each copy starts at a cache line."""
    copies = aligned_zeros(arrays)
    for name, x in arrays.items():
        copies[name][...] = x
    return copies


def run_queued_jobs(jobs: SimpleQueue[Any]) -> None:
    """Run jobs until None arrives. A queue takes half the time of the futures of an executor."""
    while (job := jobs.get()) is not None:
        job()
        del job  # it references the buffers of a step


def stop_threads(queues: list[SimpleQueue[Any]]) -> None:
    """Stop the threads of a workspace that is no longer referenced."""
    for jobs in queues:
        jobs.put(None)


def configured_threads() -> int:
    """Return MINDREF_THREADS, or one. Raises ConfigError for anything but a positive integer."""
    value = os.environ.get("MINDREF_THREADS", "1")
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(say("MINDREF_THREADS", "a number of threads from 1", repr(value)))
    return int(value)


def block_slices(size: int, length: int) -> Iterator[slice]:
    """Yield slices of `length` that cover `size` elements; the last slice may be shorter."""
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
