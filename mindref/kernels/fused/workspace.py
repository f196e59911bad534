"""Buffers that are reused from step to step, and the threads that fill them (thread_pool.py).

If each step allocated and freed its memory, it would take up to twice the time. Arrays are
therefore kept under a name, and enlarged when necessary. Work is divided into blocks. Block
boundaries depend only on array sizes, and no two blocks write to the same memory. Results therefore
have the same bytes with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast
from weakref import finalize

import numpy as np
import numpy.typing as npt

from mindref.kernels import CACHE_LINE
from mindref.kernels.fused.thread_pool import Phase, Task, ThreadPool
from mindref.process.threads import pool_threads

Buffer = npt.NDArray[Any]
T = TypeVar("T")
Jobs = SimpleQueue[Callable[[], None] | None]
"""Calls for a worker thread; None ends the thread."""


class KernelWorkspace:
    """Named buffers, and worker threads that wait for jobs."""

    def __init__(self, threads: int | None = None) -> None:
        """Create an empty workspace. threads: by default `pool_threads()`."""
        self.threads = threads or pool_threads()
        self.buffers: dict[str, Buffer] = {}
        # last view of each buffer, reused if the shape is equal
        self.views: dict[str, Buffer] = {}
        self.results: dict[str, tuple[object, object]] = {}  # of `cached`: name -> key, result
        self.queues: list[Jobs] = [SimpleQueue() for _ in range(self.threads - 1)]
        for jobs in self.queues:
            Thread(target=run_queued_jobs, args=(jobs,), daemon=True).start()
        self.pool: ThreadPool | None = None  # of the current `run_phases` call
        finalize(self, stop_threads, self.queues)

    def array(self, name: str, *shape: int, dtype: npt.DTypeLike) -> Buffer:
        """Return the buffer `name` as an array of this shape; its content is arbitrary."""
        view = self.views.get(name)
        if view is None or view.shape != shape or view.dtype != dtype:
            size, buffer = math.prod(shape), self.buffers.get(name)
            if buffer is None or buffer.size < size or buffer.dtype != dtype:
                buffer = self.buffers[name] = aligned_array(size + size // 4, dtype)
                self.results = {}  # results may contain views of the replaced buffer
            view = self.views[name] = buffer[:size].reshape(shape)
        return view

    def cached(self, name: str, key: object, create: Callable[[], T]) -> T:
        """Return the result stored for this name and key. If there is none, create and store it."""
        entry = self.results.get(name)
        if entry is None or entry[0] != key:
            entry = self.results[name] = key, create()
        return cast(T, entry[1])

    def run_phases(self, phases: Iterable[Phase]) -> None:
        """Run the phases one after another, on the worker threads and the calling thread.

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
            except KeyboardInterrupt:  # Ctrl-C may arrive outside the `try` of `join`
                pool.join()
                raise
            finally:
                self.pool = None  # otherwise the objects of its tasks would stay in memory

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase. Only a running task may call this method."""
        assert self.pool is not None
        self.pool.submit(tasks)


def aligned_array(size: int, dtype: npt.DTypeLike) -> Buffer:
    """Return zeros (size,) that start at a cache line, which NumPy does not guarantee."""
    num_bytes = size * np.dtype(dtype).itemsize
    memory = np.zeros(num_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + num_bytes].view(dtype)


def aligned_zeros(arrays: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """Return zeros of the shapes and dtypes of `arrays`; each result starts at a cache line."""
    return {name: aligned_array(x.size, x.dtype).reshape(x.shape) for name, x in arrays.items()}


def aligned_copies(arrays: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """Return copies of `arrays`; each copy starts at a cache line."""
    copies = aligned_zeros(arrays)
    for name, x in arrays.items():
        copies[name][...] = x
    return copies


def run_queued_jobs(jobs: Jobs) -> None:
    """Run jobs until the queue returns None. An executor with futures takes twice as long."""
    while (job := jobs.get()) is not None:
        job()
        del job  # otherwise the finished step would stay in memory


def stop_threads(queues: list[Jobs]) -> None:
    """Stop the threads of a workspace that is no longer referenced."""
    for jobs in queues:
        jobs.put(None)


def block_slices(size: int, length: int) -> Iterator[slice]:
    """Yield slices of `length` that cover `size` elements; the last slice may be shorter."""
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
